//! Addresses, fit to be shown.

/// Whether this names a PostgreSQL database, and not a file.
pub fn is_address(text: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme))
}

/// The address without its passwords. Rather shows too little than too much: whatever is before the last `@` is taken for
/// user and password, as a password may hold any character that should have been escaped.
pub fn without_password(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return "(an address)".into() };
    let (user, rest) = match rest.rsplit_once('@') {
        Some((before, rest)) => (before.split([':', '/', '?']).next(), rest),
        None => (None, rest),
    };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    let public = |pair: &&str| !pair.to_ascii_lowercase().split('=').next().unwrap_or("").contains("pass");
    let query = query.map(|query| query.split('&').filter(public).collect::<Vec<_>>().join("&"));
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    let query = query.filter(|query| !query.is_empty()).map(|query| format!("?{query}")).unwrap_or_default();
    format!("{scheme}://{user}{rest}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for (address, expect) in [
            ("postgres://bench@db.example/results", "postgres://bench@db.example/results"),
            ("postgres://bench:secret@db.example:5432/results", "postgres://bench@db.example:5432/results"),
            ("postgres://bench:se:c/r?e@t@db/results", "postgres://bench@db/results"),
            ("postgresql://db/results?password=secret&user=bench", "postgresql://db/results?user=bench"),
            ("postgres:///results?host=/run/postgresql&sslPassword=secret", "postgres:///results?host=/run/postgresql"),
            ("postgres://db/results?PASSWORD=secret", "postgres://db/results"),
            ("postgres://:secret@db/results", "postgres://@db/results"),
        ] {
            assert_eq!(without_password(address), expect, "{address}");
        }
    }
}
