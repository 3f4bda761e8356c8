//! The built-in copy, and the order of versions.

use super::version::NoVersion;
use super::*;

#[test]
fn the_built_in_copy_has_every_zone_and_its_links_as_iana_spells_them() {
    assert!(names().count() > 590);
    for name in names() {
        let zone = bundled(name).expect(name);
        assert_eq!(zone.name(), name);
    }
    for name in [
        "europe/berlin",
        "EUROPE/BERLIN",
        "Europe/Berlim",
        "Factory",
        "",
        "+01:00",
    ] {
        assert_eq!(bundled(name), None, "{name}");
    }
    let (link, zone) = (bundled("US/Pacific"), bundled("America/Los_Angeles"));
    assert_eq!(
        link.unwrap().fingerprint(),
        zone.unwrap().fingerprint(),
        "a link is the zone under another name"
    );
}

#[test]
fn versions_are_in_the_order_in_which_iana_makes_them() {
    let order = [
        "1996l", "2025a", "2025b", "2026f", "2026z", "2026za", "2026zb", "2027a",
    ];
    let versions = order.map(|text| text.parse::<Version>().unwrap());
    assert!(versions.is_sorted());
    assert_eq!(versions.map(|version| version.to_string()), order);
    for text in [
        "",
        "2026",
        "26f",
        "2026F",
        "2026f ",
        "2026fabcde",
        "version",
        "２026f",
    ] {
        assert_eq!(text.parse::<Version>(), Err(NoVersion), "{text:?}");
    }
}
