//! A value as a picture for a README: a label, and the value in its colour.
//!
//! It stands alone, on pages with styles of their own, so its colours are in it.

use super::Mood;
use super::svg::escape;

/// Estimated width of a letter of the eleven-pixel font, in CSS pixels.
const LETTER: f64 = 6.6;
const PAD: f64 = 7.0;

/// The picture, twenty pixels high.
pub(crate) fn badge(label: &str, value: &str, mood: Mood) -> String {
    let width = |text: &str| (text.chars().count() as f64 * LETTER + 2.0 * PAD).ceil();
    let (left, right) = (width(label), width(value));
    let color = match mood {
        Mood::Good => "#00694d",
        Mood::Bad => "#b33a00",
        Mood::Neutral => "#58616b",
    };
    let (label, value) = (escape(label), escape(value));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{total}\" height=\"20\" role=\"img\" aria-label=\"{label}: {value}\">\
         <title>{label}: {value}</title><clipPath id=\"r\"><rect width=\"{total}\" height=\"20\" rx=\"3\"/></clipPath>\
         <g clip-path=\"url(#r)\"><rect width=\"{left}\" height=\"20\" fill=\"#33383d\"/>\
         <rect x=\"{left}\" width=\"{right}\" height=\"20\" fill=\"{color}\"/></g>\
         <g fill=\"#fff\" text-anchor=\"middle\" font-family=\"Verdana,DejaVu Sans,sans-serif\" font-size=\"11\">\
         <text x=\"{at_label}\" y=\"14\" textLength=\"{label_length}\">{label}</text>\
         <text x=\"{at_value}\" y=\"14\" textLength=\"{value_length}\">{value}</text></g></svg>",
        total = left + right,
        at_label = left / 2.0,
        at_value = left + right / 2.0,
        label_length = left - 2.0 * PAD,
        value_length = right - 2.0 * PAD,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn badges_look_like_this() {
        insta::assert_snapshot!(badge("lossy/1pct goodput", "130 Mbit/s", Mood::Bad));
    }

    #[test]
    fn hostile_texts_stay_texts() {
        let svg = badge("</text><script>", "\"'<b>", Mood::Good);
        assert!(!svg.contains("<script") && !svg.contains("<b>"), "{svg}");
    }
}
