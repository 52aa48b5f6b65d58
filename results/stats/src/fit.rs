//! Whether counts and samples are what a distribution says.
//!
//! Both tests return the probability of a deviation at least as large as the one seen, if the distribution is right: a
//! very small one speaks against it.

/// Pearson's χ² test of `observed` counts against `expected` ones (Pearson 1900); all parameters are known beforehand, so
/// there are as many degrees of freedom as cells less one. `None` with fewer than two cells, cells that do not pair up, or
/// an expected count that is not positive.
pub fn chi_square(observed: &[u64], expected: &[f64]) -> Option<f64> {
    if observed.len() < 2 || observed.len() != expected.len() || expected.iter().any(|e| e.is_nan() || *e <= 0.0) {
        return None;
    }
    let deviation: f64 = observed.iter().zip(expected).map(|(o, e)| (*o as f64 - e).powi(2) / e).sum();
    Some(upper_gamma((observed.len() - 1) as f64 / 2.0, deviation / 2.0))
}

/// The Kolmogorov–Smirnov test of `samples` against a continuous distribution function, with Stephens's correction for
/// small samples (Stephens 1970). `None` without samples.
pub fn kolmogorov_smirnov(samples: &[f64], cdf: impl Fn(f64) -> f64) -> Option<f64> {
    if samples.is_empty() {
        return None;
    }
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let gap = |(i, x): (usize, &f64)| {
        let f = cdf(*x);
        (f - i as f64 / n).max((i + 1) as f64 / n - f)
    };
    let distance = sorted.iter().enumerate().map(gap).fold(0.0, f64::max);
    Some(kolmogorov_tail((n.sqrt() + 0.12 + 0.11 / n.sqrt()) * distance))
}

/// The share of a normal variable's values that are below `deviations` standard deviations from its middle (DLMF 7.2.1, by
/// 7.11.2 and 8.4.6).
pub fn normal_cdf(deviations: f64) -> f64 {
    let beyond = upper_gamma(0.5, deviations * deviations / 2.0) / 2.0;
    if deviations < 0.0 { beyond } else { 1.0 - beyond }
}

/// The value below which `share` of a standard normal variable's values lie: the inverse of [`normal_cdf`], by Halley's
/// method from Winitzki's approximation of the inverse error function (2008). Infinite at 0 and 1; not a number outside.
pub fn normal_quantile(share: f64) -> f64 {
    const A: f64 = 0.147;
    if !(0.0..=1.0).contains(&share) {
        return f64::NAN;
    }
    if share == 0.0 || share == 1.0 {
        return if share == 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let y = 2.0 * share - 1.0;
    let log = (4.0 * share * (1.0 - share)).ln();
    let half = 2.0 / (std::f64::consts::PI * A) + log / 2.0;
    let mut x = std::f64::consts::SQRT_2 * y.signum() * ((half * half - log / A).sqrt() - half).sqrt();
    for _ in 0..4 {
        // On the side of the smaller tail, where the difference keeps its digits.
        let off = if x > 0.0 { (1.0 - share) - normal_cdf(-x) } else { normal_cdf(x) - share };
        let density = (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let step = off / density;
        x -= step / (1.0 + step * x / 2.0);
    }
    x
}

/// [`normal_quantile`] for Student's t: the first four terms of its expansion (Abramowitz and Stegun 26.7.5), good to a
/// hundredth from seven degrees of freedom on.
pub(crate) fn student_quantile(share: f64, freedom: f64) -> f64 {
    let x = normal_quantile(share);
    let terms = [
        (x.powi(3) + x) / 4.0,
        (5.0 * x.powi(5) + 16.0 * x.powi(3) + 3.0 * x) / 96.0,
        (3.0 * x.powi(7) + 19.0 * x.powi(5) + 17.0 * x.powi(3) - 15.0 * x) / 384.0,
        (79.0 * x.powi(9) + 776.0 * x.powi(7) + 1482.0 * x.powi(5) - 1920.0 * x.powi(3) - 945.0 * x) / 92_160.0,
    ];
    terms.iter().rev().fold(0.0, |sum, term| (sum + term) / freedom) + x
}

/// Σ 2 (−1)^(k−1) exp(−2 k² λ²), the tail of Kolmogorov's distribution. The series is useless near 0, where the tail is 1.
fn kolmogorov_tail(lambda: f64) -> f64 {
    if lambda < 0.2 {
        return 1.0;
    }
    let term = |k: i32| {
        let k2 = f64::from(k * k);
        let sign = if k % 2 == 1 { 2.0 } else { -2.0 };
        sign * (-2.0 * k2 * lambda * lambda).exp()
    };
    (1..=100).map(term).sum::<f64>().clamp(0.0, 1.0)
}

/// Q(a, x), the regularised upper incomplete gamma function (DLMF 8.2.4): by its power series (8.11.4) below a + 1, by its
/// continued fraction (8.9.2, evaluated by Lentz's method) above.
fn upper_gamma(a: f64, x: f64) -> f64 {
    const EPSILON: f64 = 1e-15;
    const MOST: u32 = 10_000;
    if x <= 0.0 {
        return 1.0;
    }
    let front = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum) = (1.0 / a, 1.0 / a);
        for n in 1..MOST {
            term *= x / (a + f64::from(n));
            sum += term;
            if term < sum * EPSILON {
                break;
            }
        }
        return (1.0 - front * sum).clamp(0.0, 1.0);
    }
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / f64::MIN_POSITIVE;
    let mut d = 1.0 / b;
    let mut fraction = d;
    for n in 1..MOST {
        let n = f64::from(n);
        let numerator = -n * (n - a);
        b += 2.0;
        d = 1.0 / away_from_zero(numerator * d + b);
        c = away_from_zero(b + numerator / c);
        fraction *= d * c;
        if (d * c - 1.0).abs() < EPSILON {
            break;
        }
    }
    (front * fraction).clamp(0.0, 1.0)
}

fn away_from_zero(x: f64) -> f64 {
    if x.abs() < f64::MIN_POSITIVE { f64::MIN_POSITIVE } else { x }
}

/// ln Γ(x) for x > 0: Stirling's series (DLMF 5.11.1) after moving x above 15.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x, 0.0);
    while x < 15.0 {
        shift += x.ln();
        x += 1.0;
    }
    let series = 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3)) + 1.0 / (1260.0 * x.powi(5));
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_values() {
        for (deviations, share) in [(0.0, 0.5), (1.0, 0.841_344_746), (-1.959_963_985, 0.025), (3.0, 0.998_650_102)] {
            let got = normal_cdf(deviations);
            assert!((got - share).abs() < 1e-8, "{deviations}: {got}");
        }
    }

    /// R's `qt`.
    #[test]
    fn student_values() {
        for (share, freedom, expect) in
            [(0.975, 7.0, 2.364_624), (0.995, 11.0, 3.105_807), (0.8, 7.0, 0.896_030), (0.999, 19.0, 3.579_400)]
        {
            let got = student_quantile(share, freedom);
            assert!((got / expect - 1.0).abs() < 0.005, "{share} {freedom}: {got}");
        }
    }

    #[test]
    fn chi_square_agrees_with_published_values() {
        // Abramowitz and Stegun, table 26.8: χ² for a given upper tail.
        for (freedom, chi2, tail) in [
            (1, 3.84146, 0.05),
            (1, 10.8276, 0.001),
            (2, 9.21034, 0.01),
            (5, 11.0705, 0.05),
            (10, 29.5883, 0.001),
            (30, 43.7729, 0.05),
            (100, 149.449, 0.001),
        ] {
            let got: f64 = upper_gamma(f64::from(freedom) / 2.0, chi2 / 2.0);
            assert!((got / tail - 1.0).abs() < 1e-4, "χ²({freedom}) = {chi2}: {got}, not {tail}");
        }
        // Mendel's peas: 315, 108, 101, 32 in 9:3:3:1 (χ² = 0.470 with 3 degrees of freedom).
        let peas = chi_square(&[315, 108, 101, 32], &[312.75, 104.25, 104.25, 34.75]).unwrap();
        assert!((peas - 0.9254).abs() < 1e-3, "{peas}");
        assert_eq!(chi_square(&[1, 2], &[1.0, 0.0]), None);
        assert_eq!(chi_square(&[1], &[1.0]), None);
    }

    #[test]
    fn kolmogorov_agrees_with_published_values() {
        // Smirnov 1948.
        for (lambda, tail) in [(1.2238, 0.10), (1.3581, 0.05), (1.6276, 0.01), (1.9495, 0.001)] {
            let got = kolmogorov_tail(lambda);
            assert!((got / tail - 1.0).abs() < 1e-3, "{lambda}: {got}, not {tail}");
        }
        let even: Vec<f64> = (0..100).map(|n| (f64::from(n) + 0.5) / 100.0).collect();
        assert!(kolmogorov_smirnov(&even, |x| x).unwrap() > 0.999);
        assert!(kolmogorov_smirnov(&even, |x| x * x).unwrap() < 1e-4);
        assert_eq!(kolmogorov_smirnov(&[], |x| x), None);
    }
}
