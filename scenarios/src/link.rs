//! The keys of a link: a preset, each key that overrides a part of it, and each direction's own.

mod impairment;
mod queue;
mod rate;

use crate::error::{FileError, nearest};
use crate::files::Files;
use crate::quantity::{Nanos, Ppb};
use crate::schema::{LinkPresetName, any_of};
use impairment::{JitterChoice, LossChoice, MtuChoice, ReorderChoice};
use netsim_fabric::{Discipline, Limit, LinkConfig, LinkState, Manner, Outage, Probability, Queue, Rate, Reorder};
use netsim_topology::{Access, LINK_PRESETS, LinkPreset};
use queue::QueueChoice;
use rate::{RateChoice, TraceChoice};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Error, value::MapAccessDeserializer};
use std::fmt;

/// The name of a preset, or a table.
#[derive(Debug, Default)]
pub(crate) struct LinkChoice(LinkFile);

/// Makes a table of one direction, and one of a link, which has the same keys for both directions and its own.
macro_rules! tables {
    ($($key:ident: $type:ty,)*) => {
        /// One direction.
        #[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        struct DirectionFile {
            $($key: Option<$type>,)*
        }

        /// A link's two directions; what is set beside `up` and `down` holds for both.
        #[derive(Debug, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        struct LinkFile {
            preset: Option<Preset>,
            up: DirectionFile,
            down: DirectionFile,
            $($key: Option<$type>,)*
        }

        impl LinkFile {
            fn both(&self) -> DirectionFile {
                DirectionFile { $($key: self.$key.clone(),)* }
            }
        }
    };
}

tables! {
    like: LikeChoice,
    state: StateChoice,
    delay: Nanos,
    jitter: JitterChoice,
    loss: LossChoice,
    duplicate: Ppb,
    corrupt: Ppb,
    reorder: ReorderChoice,
    queue: QueueChoice,
    rate: RateChoice,
    trace: TraceChoice,
    mtu: MtuChoice,
}

/// Whether a link carries anything.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum StateChoice {
    Up,
    Down,
    DownHold,
}

/// Whose rules a link follows.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum LikeChoice {
    Wire,
    Netem,
}

/// What `tc qdisc add … netem` has without being asked.
const NETEM_LIMIT: u64 = 1000;

/// Super-packets leave a fast link in pieces of this length, so that it stays cheap to emulate. At less than about
/// 120 Mbit/s a packet takes longer than this, and every packet leaves at its own time.
pub(crate) const COALESCE_NS: u64 = 100_000;

impl LinkChoice {
    /// The link as it is from the start. `key` is where it is written.
    pub(crate) fn at_first(&self, files: &Files, key: &str) -> Result<Access, FileError> {
        let LinkFile { state, up, down, .. } = &self.0;
        if [state, &up.state, &down.state].iter().any(|state| state.is_some()) {
            let message = "a link is up until something happens; write an [[at]] with time = \"0s\" and set = { state = \
                           \"down\" }";
            return Err(files.error(format!("{key}.state"), message));
        }
        let wire = LinkConfig { coalesce_ns: COALESCE_NS, ..LinkConfig::default() };
        self.changed(files, key, &Access { up: wire.clone(), down: wire })
    }

    /// What becomes of a link on which the choice is `set`: what it does not name stays.
    pub(crate) fn changed(&self, files: &Files, key: &str, before: &Access) -> Result<Access, FileError> {
        let preset = self.0.preset.map(|Preset(preset)| preset.access());
        let mut access = preset.unwrap_or_else(|| before.clone());
        let both = self.0.both();
        for (config, own, way) in [(&mut access.up, &self.0.up, "up"), (&mut access.down, &self.0.down, "down")] {
            both.apply(config, files, key)?;
            let own_key = format!("{key}.{way}");
            own.apply(config, files, &own_key)?;
            check_netem(config).map_err(|message| files.error(own_key, message))?;
        }
        Ok(access)
    }
}

impl DirectionFile {
    fn apply(&self, config: &mut LinkConfig, files: &Files, key: &str) -> Result<(), FileError> {
        match self.like {
            Some(LikeChoice::Wire) => config.manner = Manner::Wire,
            Some(LikeChoice::Netem) => {
                config.manner = Manner::Netem;
                config.queue = Queue { limit: Limit::Packets(NETEM_LIMIT), ..Queue::default() };
            }
            None => {}
        }
        let probability = |share: Ppb| Probability::from_ppb(share.0).unwrap_or(Probability::ONE);
        if let Some(state) = self.state {
            config.state = state.resolve();
        }
        if let Some(delay) = self.delay {
            config.delay_ns = delay.0;
        }
        if let Some(jitter) = &self.jitter {
            config.jitter = jitter.resolve(files, &format!("{key}.jitter"))?;
        }
        if let Some(LossChoice(loss)) = &self.loss {
            config.loss = loss.clone();
        }
        if let Some(share) = self.duplicate {
            config.duplicate = probability(share);
        }
        if let Some(share) = self.corrupt {
            config.corrupt = probability(share);
        }
        if let Some(ReorderChoice(reorder)) = self.reorder {
            config.reorder = reorder;
        }
        if let Some(QueueChoice(queue)) = self.queue {
            config.queue = queue;
        }
        match (&self.rate, &self.trace) {
            (Some(_), Some(_)) => {
                return Err(files.error(format!("{key}.trace"), "a trace says when packets leave; drop `rate`"));
            }
            (Some(RateChoice(rate)), None) => config.rate = rate.clone(),
            (None, Some(trace)) => config.rate = trace.resolve(files, &format!("{key}.trace"))?,
            (None, None) => {}
        }
        if let Some(MtuChoice(mtu)) = self.mtu {
            config.mtu = Some(mtu);
        }
        Ok(())
    }
}

/// A link that is like netem has no more than netem has.
fn check_netem(config: &LinkConfig) -> Result<(), &'static str> {
    if config.manner != Manner::Netem {
        return Ok(());
    }
    match config.rate {
        Rate::Unlimited | Rate::Constant(_) => {}
        _ => return Err("netem has no rate that changes; drop `like`, or use a constant `rate`"),
    }
    if config.mtu.is_some() {
        return Err("netem has no MTU; drop `like` or `mtu`");
    }
    if config.reorder != Reorder::Never {
        return Err("netem's jitter reorders by itself; drop `like` or `reorder`");
    }
    if matches!(config.queue.limit, Limit::Bytes(_)) || config.queue.discipline != Discipline::DropTail {
        return Err("netem's limit counts packets and drops what comes last; drop `like`, or say \"1000 packets\"");
    }
    Ok(())
}

impl StateChoice {
    fn resolve(self) -> LinkState {
        match self {
            StateChoice::Up => LinkState::Up,
            StateChoice::Down => LinkState::Down(Outage::Drop),
            StateChoice::DownHold => LinkState::Down(Outage::Hold),
        }
    }
}

any_of!(LinkChoice, "LinkChoice", "A preset, or a table", [Preset, LinkFile]);

impl<'de> Deserialize<'de> for LinkChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<LinkChoice, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = LinkChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a link preset ({}) or a table", preset_names().join(", "))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<LinkChoice, E> {
                Ok(LinkChoice(LinkFile { preset: Some(Preset::called(name)?), ..LinkFile::default() }))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<LinkChoice, A::Error> {
                LinkFile::deserialize(MapAccessDeserializer::new(map)).map(LinkChoice)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A link that has a name.
#[derive(Debug, Clone, Copy)]
struct Preset(&'static LinkPreset);

impl Preset {
    fn called<E: Error>(name: &str) -> Result<Preset, E> {
        LINK_PRESETS.iter().find(|preset| preset.name == name).map(Preset).ok_or_else(|| {
            let known = preset_names();
            let meant = nearest(name, known.iter().copied());
            let hint = meant.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
            E::custom(format!("unknown link preset \"{name}\"; there are {}{hint}", known.join(", ")))
        })
    }
}

any_of!(Preset, "LinkPreset", "A link that has a name", [LinkPresetName]);

impl<'de> Deserialize<'de> for Preset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Preset, D::Error> {
        Preset::called(&String::deserialize(deserializer)?)
    }
}

fn preset_names() -> Vec<&'static str> {
    LINK_PRESETS.iter().map(|preset| preset.name).collect()
}
