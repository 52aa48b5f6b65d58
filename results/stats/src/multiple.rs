//! Many questions at once, and questions with yes and no.

/// Benjamini and Hochberg's q-values (1995): if all with q ≤ 0.05 are taken for changes, one in twenty of them is none, on
/// average. In the order of the p-values.
pub fn false_discovery(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*b].total_cmp(&p[*a]));
    let mut q = vec![1.0; p.len()];
    let mut least = 1.0_f64;
    for (above, index) in order.into_iter().enumerate() {
        least = least.min(p[index] * p.len() as f64 / (p.len() - above) as f64);
        q[index] = least;
    }
    q
}

/// The exact test of paired yes-or-no outcomes (McNemar 1947): `first` pairs where only the first succeeded, `second` where
/// only the second did. Returns the two-sided p-value; 1 where all pairs agree.
pub fn mcnemar(first: u64, second: u64) -> f64 {
    let n = first + second;
    // C(n, k) / 2^n, by logarithms: n may be large.
    let mut term = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = term.exp();
    for k in 1..=first.min(second) {
        term += ((n - k + 1) as f64 / k as f64).ln();
        tail += term.exp();
    }
    (2.0 * tail).min(1.0)
}
