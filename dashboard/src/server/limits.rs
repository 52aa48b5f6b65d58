//! How much anybody may ask of the server.

use super::refused::Refused;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::{StatusCode, header};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// Bounds that keep one client from taking the server away from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the body of a request that hands over results.
    pub body_bytes: usize,
    /// Records in one such request.
    pub records: usize,
    /// How long a client may take to send the headers of a request, and then its body.
    pub sending: Duration,
    /// How many such requests may be under way at once.
    pub at_once: usize,
    /// How many requests a token may make without a pause.
    pub burst: u32,
    /// After so long it may make another one.
    pub refill: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            body_bytes: 32 << 20,
            records: 10_000,
            sending: Duration::from_secs(30),
            at_once: 8,
            burst: 120,
            refill: Duration::from_millis(500),
        }
    }
}

/// A bucket of permits for each token (token bucket): taken one by one, refilled at a constant rate.
#[derive(Debug)]
struct Buckets {
    burst: i64,
    refill_ms: i64,
    /// When each will be full again. One that is full is as good as none.
    full_ms: BTreeMap<String, i64>,
}

impl Buckets {
    fn new(burst: u32, refill: Duration) -> Buckets {
        let refill_ms = i64::try_from(refill.as_millis()).unwrap_or(i64::MAX / 1_000_000_000).max(1);
        Buckets { burst: i64::from(burst.max(1)), refill_ms, full_ms: BTreeMap::new() }
    }

    /// Takes one out of a token's bucket; from an empty one nothing, and the milliseconds until there is one.
    fn take(&mut self, token: &str, now_ms: i64) -> Result<(), i64> {
        self.full_ms.retain(|_, full| *full > now_ms);
        let all_ms = self.burst.saturating_mul(self.refill_ms);
        let known = self.full_ms.get(token).copied().unwrap_or(now_ms);
        // However far the clock is set back, a bucket cannot be emptier than empty.
        let full = known.min(now_ms.saturating_add(all_ms)).saturating_add(self.refill_ms);
        let wait = full.saturating_sub(now_ms) - all_ms;
        if wait > 0 {
            return Err(wait);
        }
        self.full_ms.insert(token.to_owned(), full);
        Ok(())
    }
}

/// Where requests that change something come in.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) limits: Limits,
    slots: Semaphore,
    buckets: Mutex<Buckets>,
}

impl Gate {
    pub(super) fn new(limits: Limits) -> Gate {
        let slots = Semaphore::new(limits.at_once);
        Gate { limits, slots, buckets: Mutex::new(Buckets::new(limits.burst, limits.refill)) }
    }

    /// A place among the requests under way, held until it is dropped. Nobody waits for one: whoever waits holds memory.
    pub(super) fn enter(&self) -> Result<SemaphorePermit<'_>, Refused> {
        let most = self.limits.at_once;
        self.slots.try_acquire().map_err(|_| {
            let error = format!("{most} requests that hand something over are under way, as many as may be; try again");
            Refused::new(StatusCode::SERVICE_UNAVAILABLE, error).again_in(1)
        })
    }

    /// Counts a request of the token's.
    pub(super) fn count(&self, token: &str, now_ms: i64) -> Result<(), Refused> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.take(token, now_ms).map_err(|wait_ms| {
            let error = "this token makes too many requests; hand over more records in each";
            Refused::new(StatusCode::TOO_MANY_REQUESTS, error).again_in(wait_ms.div_euclid(1000) as u64 + 1)
        })
    }

    /// The body of a request, if it has at most `most` bytes and arrives in time.
    pub(super) async fn received(&self, mut request: Request, most: usize) -> Result<Bytes, Refused> {
        let told = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if told.is_some_and(|told: u64| told > most as u64) {
            return Err(too_large(most));
        }
        DefaultBodyLimit::max(most).apply(&mut request);
        match timeout(self.limits.sending, Bytes::from_request(request, &())).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(too_large(most)),
            Ok(Err(error)) => Err(Refused::new(error.status(), error.body_text())),
            Err(_) => {
                let error = format!("the body did not arrive within {} s", self.limits.sending.as_secs_f64());
                Err(Refused::new(StatusCode::REQUEST_TIMEOUT, error))
            }
        }
    }
}

fn too_large(most: usize) -> Refused {
    Refused::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has more than {most} bytes; send it in parts"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets() -> Buckets {
        Buckets::new(3, Duration::from_millis(500))
    }

    #[test]
    fn a_burst_is_let_through_and_then_one_at_a_time() {
        let mut buckets = buckets();
        let rows = [
            (0, Ok(())),
            (0, Ok(())),
            (0, Ok(())),
            (0, Err(500)),
            (499, Err(1)),
            (500, Ok(())),
            (500, Err(500)),
            // Full again: three, and no more however long nobody came.
            (1_000_000, Ok(())),
            (1_000_000, Ok(())),
            (1_000_000, Ok(())),
            (1_000_000, Err(500)),
        ];
        for (step, (now_ms, expect)) in rows.into_iter().enumerate() {
            assert_eq!(buckets.take("a", now_ms), expect, "step {step}");
        }
    }

    #[test]
    fn tokens_do_not_take_from_each_other() {
        let mut buckets = buckets();
        while buckets.take("a", 7).is_ok() {}
        assert_eq!(buckets.take("b", 7), Ok(()));
        assert_eq!(buckets.full_ms.len(), 2);
        assert_eq!(buckets.take("b", 100_000), Ok(()));
        assert_eq!(buckets.full_ms.len(), 1, "who has not come for long is forgotten");
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let mut buckets = buckets();
        while buckets.take("a", 3_600_000).is_ok() {}
        assert_eq!(buckets.take("a", 0), Err(500));
        assert_eq!(buckets.take("a", i64::MIN), Err(500));
        assert_eq!(buckets.take("a", i64::MAX), Ok(()));
    }
}
