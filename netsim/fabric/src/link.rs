//! A directed link: per wire segment state and MTU -> loss -> duplication -> corruption -> queue admission ->
//! serialisation -> delay and jitter -> order clamp.
//!
//! What needs no clock is decided when a packet enters. It then waits until the serialiser gets to it. The link does
//! not act by itself: whenever it is asked for anything it first catches up, at the virtual times at which things
//! happened. So results do not depend on how often it is asked, and a change of its configuration meets every packet that
//! still waits.

mod codel;
mod config;
mod counters;
mod flight;
mod jitter;
mod line;
mod lines;
mod loss;
mod netem;
mod queue;
mod rate;
mod red;
mod synthetic;
mod tap;
mod trace;

pub use codel::CoDelConfig;
pub use config::{LinkConfig, LinkState, Manner, Mtu, Outage, Oversize, Probability, Reorder, Shift};
pub use counters::{Cause, LinkCounters};
pub use jitter::{Jitter, Samples};
pub use lines::LineError;
pub use loss::{Loss, Script};
pub use queue::{Discipline, Limit, Queue};
pub use rate::{Rate, Schedule, ScheduleError, Step};
pub use red::RedConfig;
pub use synthetic::Cellular;
pub use tap::{Sight, Sighting};
pub use trace::Trace;

use crate::packet::{Damage, Ecn, Packet};
use crate::random::{Purpose, Stream};
use crate::time::Time;
use alloc::vec::Vec;
use codel::CoDel;
use counters::Decision;
use flight::Flying;
use jitter::Sampler;
use line::Line;
use loss::LossState;
use queue::{Batch, Fate, Run, Segment, Verdict, Waiting};
use rate::Start;
use red::Red;

/// Names a directed link of a fabric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub(crate) u32);

impl LinkId {
    /// The link's position in the order of creation.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A packet, or some of its segments, was larger than the link's MTU, and the one who sent it is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooBig {
    /// The link's MTU in IP bytes.
    pub(crate) mtu: u32,
}

/// The streams a packet's fate is drawn from. A copy has its own, so that it changes nobody else's fate.
#[derive(Debug, Clone, Copy)]
struct Draws {
    loss: Stream,
    loss_state: Stream,
    duplicate: Stream,
    corrupt: Stream,
    damage: Stream,
    reorder: Stream,
    aqm: Stream,
    jitter: Stream,
}

impl Draws {
    fn new(seed: u64, object: u32) -> Draws {
        let stream = |purpose| Stream::new(seed, object, purpose);
        Draws {
            loss: stream(Purpose::Loss),
            loss_state: stream(Purpose::LossState),
            duplicate: stream(Purpose::Duplicate),
            corrupt: stream(Purpose::Corrupt),
            damage: stream(Purpose::Damage),
            reorder: stream(Purpose::Reorder),
            aqm: stream(Purpose::Aqm),
            jitter: stream(Purpose::Jitter),
        }
    }
}

/// A directed link's state.
#[derive(Debug)]
pub(crate) struct Link<B> {
    config: LinkConfig,
    draws: Draws,
    copy_draws: Draws,
    loss: LossState,
    waiting: Waiting<B>,
    codel: CoDel,
    red: Red,
    line: Line<B>,
    /// Nothing that waits may start before: the moment of the last change.
    changed_at: Time,
    /// All segments of a packet have one fate and one time.
    uniform: bool,
    /// All that are sent at one time arrive at one time.
    instant: bool,
    /// Packets and super-packets that entered.
    offers: u64,
    /// One more than the highest number of a packet that left.
    left_below: u64,
    recent_peak_queueing_ns: u64,
    counters: LinkCounters,
    /// What was seen, while someone looks.
    tap: Option<Vec<Sighting<B>>>,
}

impl<B: Clone> Link<B> {
    /// A link whose schedule or trace starts at `now`.
    pub(crate) fn new(seed: u64, id: LinkId, config: LinkConfig, now: Time) -> Link<B> {
        /// Beyond any number of links.
        const COPY: u32 = 1 << 31;
        Link {
            draws: Draws::new(seed, id.0),
            copy_draws: Draws::new(seed, id.0 | COPY),
            loss: LossState::default(),
            waiting: Waiting::new(),
            codel: CoDel::default(),
            red: Red::default(),
            line: Line::new(&config, now),
            changed_at: Time::ZERO,
            uniform: is_uniform(&config),
            instant: is_instant(&config),
            offers: 0,
            left_below: 0,
            recent_peak_queueing_ns: 0,
            counters: LinkCounters::default(),
            tap: None,
            config,
        }
    }

    pub(crate) fn config(&self) -> &LinkConfig {
        &self.config
    }

    pub(crate) fn counters(&self) -> LinkCounters {
        self.counters
    }

    /// The longest queueing delay since the last call, in nanoseconds.
    pub(crate) fn take_peak_queueing_ns(&mut self) -> u64 {
        core::mem::take(&mut self.recent_peak_queueing_ns)
    }

    /// From `now` on the link does as `config` says. What waits meets the new rate, delay and state; what is being sent,
    /// or was sent, arrives as it would have. Random decisions go on where they were.
    pub(crate) fn set_config(&mut self, now: Time, config: LinkConfig) {
        self.advance(now);
        self.changed_at = self.changed_at.max(now);
        if config.rate != self.config.rate {
            self.line.serialiser.change_rate(now);
        }
        if config.loss != self.config.loss {
            self.loss = LossState::default();
        }
        if config.queue.discipline != self.config.queue.discipline {
            (self.codel, self.red) = (CoDel::default(), Red::default());
        }
        if config.jitter != self.config.jitter {
            self.line.sampler = Sampler::new(&config.jitter);
        }
        if config.state == LinkState::Down(Outage::Drop) {
            self.lose_waiting(now);
        }
        self.uniform = is_uniform(&config);
        self.instant = is_instant(&config);
        self.config = config;
        self.advance(now);
    }

    /// Whether what enters later always leaves later.
    pub(crate) fn keeps_order(&self) -> bool {
        let in_order = self.config.reorder == Reorder::Never && self.config.manner == Manner::Wire;
        in_order && !self.line.flight.has_stragglers()
    }

    /// When the next run arrives, if ever; or an earlier time, at which to ask again.
    pub(crate) fn next_release(&self) -> Option<Time> {
        let under_way = self.line.flight.next();
        if let (Some(at), true) = (under_way, self.keeps_order()) {
            return Some(self.line.flight.only().map_or(at, |run| {
                let jitter = self.draws.jitter;
                self.line.arrival_with_followers(&self.config, jitter, run, &self.waiting, self.changed_at)
            }));
        }
        let waiting = self.next_start().map(|start| self.line.earliest(&self.config, start.at));
        under_way.into_iter().chain(waiting).min()
    }

    /// Takes out the first run that arrives at or before `now`. Where `far_end_up` is not set, nobody gets it: it counts as
    /// dropped.
    pub(crate) fn pop(&mut self, now: Time, far_end_up: bool) -> Option<(Time, Packet<B>)> {
        self.advance(now);
        let Flying { at, number, packet, .. } = self.line.flight.pop(now)?;
        let count = u64::from(packet.segments.count);
        if !far_end_up {
            self.counters.interface_down += count;
            self.see(at, number, Sight::Dropped(Cause::InterfaceDown), &packet);
            return Some((at, packet));
        }
        self.counters.delivered += count;
        self.counters.delivered_bytes += packet.segments.run_wire_len();
        // RFC 4737: reordered is what comes after something that was sent later. A copy is not later than its twin.
        self.counters.reordered += count.min(self.left_below.saturating_sub(number + 1));
        self.left_below = self.left_below.max(number + count);
        self.see(at, number, Sight::Left, &packet);
        Some((at, packet))
    }

    /// Decides on every segment of `packet` and keeps the survivors, contiguous ones together. Says if some were larger
    /// than the MTU and their sender is to be told.
    #[must_use]
    pub(crate) fn offer(&mut self, now: Time, packet: Packet<B>) -> Option<TooBig> {
        self.advance(now);
        self.offers += 1;
        self.see(now, self.counters.packets, Sight::Entered, &packet);
        if self.uniform && self.start_at_once(now).is_some() {
            self.pass(now, packet);
            return None;
        }
        if self.config.manner == Manner::Netem && self.config.state == LinkState::Up {
            self.offer_as_netem(now, packet);
            return None;
        }
        let (run, lens) = (packet.segments, packet.segments.lens());
        let (mut told, mut open) = (None, None::<Batch>);
        for index in run.first..run.first + run.count {
            let number = self.counters.packets;
            let len = lens.of(index);
            self.counters.packets += 1;
            self.counters.bytes += u64::from(len);
            // Asked for every packet, whatever else becomes of it: what is lost must not depend on that.
            let lost = self.loss.loses(&self.config.loss, number, self.draws.loss, self.draws.loss_state);
            if let Some(cause) = self.refuses(len).or(lost.then_some(Cause::Loss)) {
                self.count_drop(cause, number);
                self.see_segment(now, Sight::Dropped(cause), index, number, &packet);
                told = told.or(self.config.mtu.filter(|_| cause == Cause::TooBig).map(|mtu| TooBig { mtu: mtu.bytes }));
                continue;
            }
            let copies = self.copies(number);
            if copies {
                self.see_segment(now, Sight::Copied, index, number, &packet);
            }
            for copy in [false, true].into_iter().take(1 + usize::from(copies)) {
                let fate = self.fate(&packet, number, copy);
                let segment = Segment { offer: self.offers, index, number, len, arrived: now, fate };
                if !open.as_mut().is_some_and(|batch| batch.extend(&segment)) {
                    self.enter(now, open.replace(Batch::of_one(segment, lens)), &packet);
                }
            }
        }
        self.enter(now, open, &packet);
        self.advance(now);
        told
    }

    /// Lets a whole packet through where no segment can fare differently from another.
    fn pass(&mut self, now: Time, packet: Packet<B>) {
        let (number, run) = (self.counters.packets, packet.segments);
        self.counters.packets += u64::from(run.count);
        self.counters.bytes += run.run_wire_len();
        let at = self.line.flight.clamp(now + self.config.delay_ns);
        self.line.flight.push(Flying::whole(at, self.offers, number, packet));
    }

    /// Whether packet number `number` comes out twice.
    fn copies(&mut self, number: u64) -> bool {
        let hit = self.config.duplicate.hits(self.draws.duplicate, number);
        if hit {
            self.counters.duplicated += 1;
            self.counters.decided(Decision::Duplicated, number);
        }
        hit
    }

    /// Why the link does not take a packet of `len` bytes at all.
    fn refuses(&self, len: u32) -> Option<Cause> {
        if self.config.state == LinkState::Down(Outage::Drop) {
            return Some(Cause::LinkDown);
        }
        let mtu = self.config.mtu.filter(|mtu| len > mtu.bytes)?;
        Some(match mtu.oversize {
            Oversize::TooBig => Cause::TooBig,
            Oversize::BlackHole => Cause::BlackHole,
        })
    }

    fn count_drop(&mut self, cause: Cause, number: u64) {
        match cause {
            Cause::Loss => {
                self.counters.lost += 1;
                self.counters.decided(Decision::Lost, number);
            }
            Cause::LinkDown => self.counters.down += 1,
            Cause::TooBig => self.counters.too_big += 1,
            Cause::BlackHole => self.counters.black_hole += 1,
            Cause::Aqm => self.counters.aqm += 1,
            _ => self.counters.queue_full += 1,
        }
    }

    /// What chance has in store for a packet that is not lost.
    fn fate(&mut self, packet: &Packet<B>, number: u64, copy: bool) -> Fate {
        let draws = if copy { &self.copy_draws } else { &self.draws };
        let corrupt = self.config.corrupt.hits(draws.corrupt, number);
        let out_of_turn = match self.config.reorder {
            Reorder::Share { share, .. } => share.hits(draws.reorder, number),
            _ => false,
        };
        let damage = if corrupt { Some(Damage::new(draws.damage.draw(number))) } else { packet.damage };
        if corrupt {
            self.counters.corrupted += 1;
            self.counters.decided(if copy { Decision::CopyCorrupted } else { Decision::Corrupted }, number);
        }
        if out_of_turn {
            self.counters.decided(if copy { Decision::CopyReordered } else { Decision::Reordered }, number);
        }
        Fate { copy, damage, out_of_turn, ecn: packet.head.ecn }
    }

    /// Segments get to the serialiser at once, wait for it, or find the queue full.
    fn enter(&mut self, now: Time, batch: Option<Batch>, packet: &Packet<B>) {
        let Some(mut batch) = batch else { return };
        self.advance(now);
        let at_once = self.start_at_once(now);
        let unlimited = at_once.is_some() && matches!(self.config.rate, Rate::Unlimited);
        if unlimited && self.instant {
            let at = self.line.flight.clamp(now + self.config.delay_ns);
            return self.line.flight.push(Flying::of(&batch, at, packet));
        }
        // Where all fit, none has to be asked for on its own.
        let Queue { limit, discipline, .. } = self.config.queue;
        let in_service = self.line.serialiser.in_service(now);
        let all_fit = !matches!(discipline, Discipline::Red(_))
            && self.waiting.has_room(limit, in_service, batch.count, batch.bytes);
        if !unlimited && !all_fit {
            return self.enter_singly(now, batch, packet);
        }
        if let Some(start) = at_once {
            self.send_first(start, &batch.first, packet);
            if !batch.advance() {
                return;
            }
        }
        self.waiting.push(batch, packet);
    }

    /// The same, one by one.
    fn enter_singly(&mut self, now: Time, mut batch: Batch, packet: &Packet<B>) {
        loop {
            self.advance(now);
            let mut segment = batch.first;
            match self.admit(now, &segment) {
                Err(cause) => self.drop_segment(now, cause, &segment, packet),
                Ok(Verdict::Drop) => self.drop_segment(now, Cause::Aqm, &segment, packet),
                Ok(verdict) => {
                    if verdict == Verdict::Mark {
                        mark(&mut segment, &mut self.counters);
                    }
                    match self.start_at_once(now) {
                        Some(start) => self.send_first(start, &segment, packet),
                        None => self.waiting.push(Batch::of_one(segment, batch.lens), packet),
                    }
                }
            }
            if !batch.advance() {
                return;
            }
        }
    }

    fn drop_segment(&mut self, now: Time, cause: Cause, segment: &Segment, packet: &Packet<B>) {
        self.count_drop(cause, segment.number);
        self.see_segment(now, Sight::Dropped(cause), segment.index, segment.number, packet);
    }

    /// Sends a segment that found nobody in front of it.
    fn send_first(&mut self, start: Start, segment: &Segment, packet: &Packet<B>) {
        self.codel.empty();
        let jitter = self.jitter_stream(segment);
        self.line.launch(&self.config, jitter, start, segment, packet);
    }

    /// Whether the queue takes a segment.
    fn admit(&mut self, now: Time, segment: &Segment) -> Result<Verdict, Cause> {
        let queue = &self.config.queue;
        let in_service = self.line.serialiser.in_service(now);
        if !self.waiting.has_room(queue.limit, in_service, 1, u64::from(segment.len)) {
            return Err(Cause::QueueFull);
        }
        let Discipline::Red(red) = &queue.discipline else { return Ok(Verdict::Pass) };
        let queued = self.waiting.bytes() + u64::from(in_service);
        let draws = if segment.fate.copy { &self.copy_draws } else { &self.draws };
        let draw = draws.aqm.draw(segment.number);
        let markable = queue.ecn && segment.fate.ecn.is_capable();
        Ok(self.red.decide(red, queued, self.line.serialiser.idle_packets(now), draw, markable))
    }

    /// Sends everything whose turn came at or before `now`.
    fn advance(&mut self, now: Time) {
        if let Discipline::CoDel(codel) = self.config.queue.discipline {
            while let Some(start) = self.next_start().filter(|start| start.at <= now) {
                self.send_head(start, codel);
            }
            return;
        }
        while self.config.state == LinkState::Up
            && let Some(run) = self.waiting.head()
        {
            let arrived = run.batch.first.arrived;
            let (jitter, ready) = (self.jitter_stream(&run.batch.first), arrived.max(self.changed_at));
            let (launched, started) = self.line.launch_run(&self.config, jitter, run, ready, now);
            if launched == 0 {
                return;
            }
            self.waiting.remove(launched);
            self.count_wait(started.nanos_since(arrived));
        }
    }

    fn count_wait(&mut self, nanos: u64) {
        self.counters.peak_queueing_ns = self.counters.peak_queueing_ns.max(nanos);
        self.recent_peak_queueing_ns = self.recent_peak_queueing_ns.max(nanos);
    }

    /// When the first packet that waits will be sent.
    fn next_start(&self) -> Option<Start> {
        self.start(self.waiting.head()?.batch.first.arrived)
    }

    /// The start of a packet that finds nobody in front of it.
    fn start_at_once(&self, now: Time) -> Option<Start> {
        if self.waiting.is_empty() { self.start(now).filter(|start| start.at <= now) } else { None }
    }

    fn start(&self, ready: Time) -> Option<Start> {
        match self.config.state {
            LinkState::Up => self.line.serialiser.start(&self.config.rate, ready.max(self.changed_at)),
            LinkState::Down(_) => None,
        }
    }

    /// Sends the first packet that waits and that CoDel lets pass.
    fn send_head(&mut self, start: Start, codel: CoDelConfig) {
        while let Some(Run { batch, packet }) = self.waiting.head() {
            let mut head = batch.first;
            let sojourn_ns = start.at.nanos_since(head.arrived);
            let behind = self.waiting.bytes() - u64::from(head.len);
            let markable = self.config.queue.ecn && head.fate.ecn.is_capable();
            let verdict = self.codel.decide(codel, start.at, sojourn_ns, behind, markable);
            if verdict == Verdict::Drop {
                let packet = packet.clone();
                self.drop_segment(start.at, Cause::Aqm, &head, &packet);
                self.waiting.remove(1);
                continue;
            }
            if verdict == Verdict::Mark {
                mark(&mut head, &mut self.counters);
            }
            let jitter = self.jitter_stream(&head);
            self.line.launch(&self.config, jitter, start, &head, packet);
            self.waiting.remove(1);
            self.count_wait(sojourn_ns);
            return;
        }
        self.codel.empty();
    }

    fn jitter_stream(&self, segment: &Segment) -> Stream {
        if segment.fate.copy { self.copy_draws.jitter } else { self.draws.jitter }
    }
}

/// Tells the receiver of a segment that there is congestion. A segment that says so already is not counted again.
fn mark(segment: &mut Segment, counters: &mut LinkCounters) {
    counters.marked += u64::from(segment.fate.ecn != Ecn::CongestionExperienced);
    segment.fate.ecn = Ecn::CongestionExperienced;
}

/// Whether all segments of a packet have one fate and one time, whatever the link's past.
fn is_uniform(config: &LinkConfig) -> bool {
    config.state == LinkState::Up
        && config.manner == Manner::Wire
        && config.mtu.is_none()
        && config.loss == Loss::None
        && config.duplicate == Probability::ZERO
        && config.corrupt == Probability::ZERO
        && config.rate == Rate::Unlimited
        && is_instant(config)
}

/// Whether all segments that are sent at one time arrive at one time.
fn is_instant(config: &LinkConfig) -> bool {
    config.jitter == Jitter::None && config.reorder == Reorder::Never
}
