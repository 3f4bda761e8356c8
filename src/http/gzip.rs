//! gzip, for whoever takes it.
//!
//! Owns: what `Accept-Encoding` allows, and the compressing. Blocks: it is for a thread that may.

use std::io::{self, Write};

use axum::http::{HeaderMap, header};
use flate2::Compression;
use flate2::write::GzEncoder;

/// Quick: names come again and again, and more effort makes an exposition little smaller.
const LEVEL: Compression = Compression::new(2);

/// Whether the sender of these headers takes an answer in gzip. What names it goes before `*`.
pub(crate) fn is_accepted(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).into_iter();
    let codings = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let (mut named, mut any) = (None, None);
    for coding in codings {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => named = Some(is_wanted(weight)),
            "*" => any = Some(is_wanted(weight)),
            _ => {}
        }
    }
    named.or(any).unwrap_or(false)
}

/// Whether a weight is not zero; none is 1, and one that is no number is none of ours to honour.
fn is_wanted(weight: &str) -> bool {
    let weight = weight.trim();
    if weight.is_empty() {
        return true;
    }
    let number = weight
        .split_once('=')
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
        .and_then(|(_, number)| number.trim().parse::<f32>().ok());
    number.is_some_and(|number| number > 0.0)
}

/// The text in gzip.
pub(crate) fn compress(text: &str) -> io::Result<Vec<u8>> {
    compressed(|sink| sink.write_all(text.as_bytes()))
}

/// What `write` writes, in gzip.
pub(super) fn compressed<E: From<io::Error>>(
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<Vec<u8>, E> {
    let mut encoder = GzEncoder::new(Vec::new(), LEVEL);
    write(&mut encoder)?;
    Ok(encoder.finish()?)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn gzip_is_accepted_where_it_is_named_or_all_are_and_its_weight_is_not_zero() {
        for (accepted, wanted) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("x-gzip", true),
            ("*", true),
            ("br, *;q=0.1", true),
            ("gzip;q=0", false),
            ("gzip; q = 0.000, *", false),
            ("*;q=0, gzip", true),
            ("gzip;level=9", false),
            ("gzip;q=x", false),
            ("identity", false),
            ("gzipped", false),
            ("", false),
        ] {
            let value = accepted.parse().unwrap();
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, value)]);
            assert_eq!(is_accepted(&headers), wanted, "{accepted}");
        }
        assert!(!is_accepted(&HeaderMap::new()));
    }

    #[test]
    fn several_headers_count_as_one() {
        let mut headers = HeaderMap::new();
        headers.append(header::ACCEPT_ENCODING, "br".parse().unwrap());
        headers.append(header::ACCEPT_ENCODING, "gzip".parse().unwrap());
        assert!(is_accepted(&headers));
    }

    #[test]
    fn what_is_compressed_comes_back() {
        let text = "redkeep_runs_total{cluster=\"dw\"} 1\n".repeat(10_000);
        let compressed = compress(&text).unwrap();
        assert!(compressed.len() < text.len() / 50, "{}", compressed.len());
        let mut back = String::new();
        GzDecoder::new(&*compressed)
            .read_to_string(&mut back)
            .unwrap();
        assert_eq!(back, text);
    }
}
