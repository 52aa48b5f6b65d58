//! What is around every page.

use crate::assets;
use crate::html::Links;
use longhaul_record::SYNTHETIC_HOST;
use longhaul_store::Scope;
use maud::{DOCTYPE, Markup, html};

/// What a page knows of its surroundings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frame {
    /// Links that keep the chosen scope.
    pub(crate) links: Links,
    /// The project and machine whose numbers are shown; none in an empty store.
    pub(crate) scope: Option<Scope>,
    /// All there are, to choose another.
    pub(crate) scopes: Vec<Scope>,
    /// When it was made, in milliseconds since 1970: what is newer is news.
    pub(crate) made_ms: Option<i64>,
    /// What a visitor can do.
    pub(crate) served: Served,
}

/// How pages are looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Served {
    /// As files: nothing answers questions.
    Exported,
    /// By a server that only reads.
    #[default]
    ReadOnly,
    /// By a server that takes results and triage, with a token.
    Writable,
}

/// The pages that every page leads to: name, and what [`Frame::page`] calls it.
const PAGES: [(&str, &str); 4] =
    [("Overview", "overview"), ("Compare", "compare"), ("Alerts", "alerts"), ("Health", "health")];

impl Frame {
    /// The whole document.
    pub(crate) fn page(&self, title: &str, here: &str, content: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (title) " · longhaul" }
                    link rel="stylesheet" href=(assets::STYLE_HREF.as_str());
                    // Not deferred: a chosen theme is set before anything is drawn.
                    script src=(assets::SCRIPT_HREF.as_str()) {}
                    link rel="icon" type="image/svg+xml" href="/assets/favicon.svg";
                }
                body data-events=[self.events()] {
                    a.skip href="#main" { "Skip to the content" }
                    header {
                        div {
                            a.brand href=(self.links.overview()) { "longhaul" }
                            nav aria-label="Pages" {
                                @for (name, id) in PAGES {
                                    a href=(self.links.page(id)) aria-current=[(here == id).then_some("page")] { (name) }
                                }
                            }
                            @if let Some(scope) = &self.scope {
                                span.where.quiet.small { (scope.project) " on " (machine(scope)) }
                            }
                        }
                    }
                    main id="main" {
                        @if self.scope.as_ref().is_some_and(|scope| scope.host == SYNTHETIC_HOST) {
                            p.invented { b { "Invented data." } " Nothing on this page was measured: it is here to try the dashboard with." }
                        }
                        (content)
                        (self.others())
                    }
                    footer {
                        "longhaul measures transfer software over simulated networks, and proves before and during each \
                        run that the network was what it claimed to be."
                    }
                }
            }
        }
    }

    /// A scenario's page, led by a metric; files have one page of a scenario.
    pub(crate) fn history(&self, scenario: &str, metric: &str, peer: Option<&str>) -> String {
        match self.served {
            Served::Exported => self.links.scenario(scenario),
            _ => self.links.history(scenario, metric, peer),
        }
    }

    /// Where the page's script hears of what is newer than the page.
    fn events(&self) -> Option<String> {
        let since = self.made_ms.filter(|_| self.served != Served::Exported)?;
        Some(self.links.events(self.scope.as_ref().map(|scope| scope.host.as_str()), since))
    }

    /// The chosen scope as fields of a form.
    pub(crate) fn hidden(&self) -> Markup {
        html! {
            @if let (Some(scope), false) = (&self.scope, self.links == Links::default()) {
                input type="hidden" name="project" value=(scope.project);
                input type="hidden" name="host" value=(scope.host);
            }
        }
    }

    /// Other projects and machines in the same store: never mixed, so they need a way there.
    fn others(&self) -> Markup {
        let others: Vec<&Scope> = self.scopes.iter().filter(|scope| Some(*scope) != self.scope.as_ref()).collect();
        html! {
            @if !others.is_empty() {
                h2 { "Also in this database" }
                p.small.quiet { "Numbers of different machines and projects are never drawn together." }
                ul.small {
                    @for scope in others {
                        li {
                            a href=(Links::within(&scope.project, &scope.host).overview()) {
                                (scope.project) " on " (machine(scope))
                            }
                            ", " (crate::html::plural(scope.runs, "run"))
                        }
                    }
                }
            }
        }
    }
}

/// A machine's name for people; the fingerprint tells equal processors apart.
pub(super) fn machine(scope: &Scope) -> String {
    if scope.host == SYNTHETIC_HOST {
        return "no machine: invented data".into();
    }
    let fingerprint: String = scope.host.chars().take(8).collect();
    if scope.cpu.is_empty() { fingerprint } else { format!("{} ({fingerprint})", scope.cpu) }
}
