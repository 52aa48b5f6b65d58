//! `longhaul scenario new`: a few questions, and a file that is a scenario.

use crate::args::NewArgs;
use crate::error::CliError;
use crate::output;
use longhaul_record::Exit;
use longhaul_scenarios::{Draft, FileError, Scenario};
use std::fs::OpenOptions;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;

/// Asks for what the arguments leave open, if somebody is there to answer, and writes the file.
pub(crate) fn command(args: &NewArgs) -> Result<Exit, CliError> {
    let draft = Draft::default();
    let mut asker = Asker { someone: io::stdin().is_terminal() && io::stderr().is_terminal() };
    let question = Question { flag: "--name", words: "Its name", usual: &draft.name };
    let name = asker.ask(&question, args.name.as_ref(), |name, draft| draft.name = name)?;
    let summary = format!("Made by `longhaul scenario new`: {name}");
    asker.explain("links", Draft::links(), args.link.is_some());
    let question = Question { flag: "--link", words: "How is the fetcher connected", usual: &draft.link };
    let link = asker.ask(&question, args.link.as_ref(), |link, draft| draft.link = link)?;
    asker.explain("routers", Draft::nats(), args.nat.is_some() && args.provider_nat.is_some());
    let question = Question { flag: "--nat", words: "Which router is in front of the fetcher", usual: &draft.nat };
    let nat = asker.ask(&question, args.nat.as_ref(), |nat, draft| draft.nat = nat)?;
    let words = "Which router is in front of the provider";
    let question = Question { flag: "--provider-nat", words, usual: &draft.provider_nat };
    let provider_nat = asker.ask(&question, args.provider_nat.as_ref(), |nat, draft| draft.provider_nat = nat)?;
    let question = Question { flag: "--loss", words: "What is lost besides, for example 1%", usual: &draft.loss };
    let loss = asker.ask(&question, args.loss.as_ref(), |loss, draft| draft.loss = loss)?;
    let question = Question { flag: "--size", words: "How much is sent", usual: &draft.size };
    let size = asker.ask(&question, args.size.as_ref(), |size, draft| draft.size = size)?;
    let fetchers = args.fetchers.unwrap_or(draft.fetchers);
    let text = Draft { name: name.clone(), summary, link, nat, provider_nat, loss, size, fetchers }.text();
    let path = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.toml", name.replace('/', "-"))));
    let scenario = Scenario::parse(&path.to_string_lossy(), &text)?;
    let failed = |source| CliError::Write { path: path.clone(), source };
    // What somebody has written by hand is not lost to a repeated name.
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    output::line(format!("{}: {}", path.display(), scenario.words()))?;
    Ok(Exit::Pass)
}

/// What is asked.
struct Question<'a> {
    /// The argument that answers it.
    flag: &'a str,
    words: &'a str,
    /// The answer of whoever gives none.
    usual: &'a str,
}

impl Question<'_> {
    /// Whether an answer can be used, tried in a file that is good but for it.
    fn check(&self, answer: &str, set: impl Fn(String, &mut Draft)) -> Result<(), FileError> {
        let mut draft = Draft::default();
        set(answer.to_owned(), &mut draft);
        let tried = Scenario::parse(self.flag, &draft.text());
        // Nobody knows the file that it was tried in.
        tried.map(drop).map_err(|error| {
            let message = error.message.trim_start_matches(|c: char| c.is_ascii_digit() || "line :".contains(c));
            FileError { key: None, message: message.to_owned(), ..error }
        })
    }
}

struct Asker {
    /// Whether somebody is there to answer.
    someone: bool,
}

impl Asker {
    fn explain(&self, what: &str, choices: impl Iterator<Item = (&'static str, &'static str)>, is_known: bool) {
        if self.someone && !is_known {
            let lines: Vec<String> = choices.map(|(name, summary)| format!("  {name:18}{summary}")).collect();
            output::note(format!("There are these {what}:\n{}", lines.join("\n")));
        }
    }

    /// The answer given as an argument, or by somebody, or the usual one. Somebody is asked until it can be used.
    fn ask(
        &mut self,
        question: &Question,
        given: Option<&String>,
        set: impl Fn(String, &mut Draft),
    ) -> Result<String, CliError> {
        let Question { words, usual, .. } = question;
        if let Some(given) = given {
            question.check(given, set)?;
            return Ok(given.clone());
        }
        while self.someone {
            output::note(format!("{words}? [{usual}]"));
            let mut line = String::new();
            let read = io::stdin().lock().read_line(&mut line);
            let read = read.map_err(|source| CliError::Environment { what: "cannot read an answer", source })?;
            // Whoever closes the input wants the rest as it usually is.
            self.someone = read > 0;
            let answer = if line.trim().is_empty() { usual } else { line.trim() };
            match question.check(answer, &set) {
                Ok(()) => return Ok(answer.to_owned()),
                Err(error) => output::note(error.message),
            }
        }
        Ok((*usual).to_owned())
    }
}
