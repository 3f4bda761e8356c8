//! Which members of an answer can be read.
//!
//! Owns: dropping, before the SDK reads an answer, every member of a cluster, a snapshot or an event whose value is not
//! what the API's model says. The SDK gives up a whole answer for one number that is too large: a hundred snapshots would
//! be unseen for one of somebody else's. What is dropped counts as not told, which proves nothing; members that redkeep
//! does not look at are dropped too, whatever they hold. An answer that is not whole is refused: half a listing would say
//! that the other half's clusters and snapshots are gone.

use std::ops::Range;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use aws_smithy_types::primitive::Parse;
use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::Event;

/// What a member holds.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Any text.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    Flag,
    /// A 32-bit number, 0 or more.
    Count,
    /// A 32-bit number of days, 1 or more, or -1 for ever.
    Days,
    /// A 64-bit number, 0 or more.
    Seconds,
    /// A finite number, 0 or more.
    Megabytes,
    Instant,
    /// Texts of this element's name.
    Texts(&'static str),
    /// Structures of this element's name.
    Structures(&'static str, Members),
}

type Members = &'static [(&'static str, Kind)];

const TAGS: Kind = Kind::Structures("Tag", &[("Key", Kind::Text), ("Value", Kind::Text)]);

/// The structures that answers list, with the members that redkeep looks at.
const STRUCTURES: [(&str, Members); 3] = [
    ("Cluster", CLUSTER),
    ("Event", EVENT),
    ("Snapshot", SNAPSHOT),
];

const CLUSTER: Members = &[
    ("ClusterIdentifier", Kind::Text),
    ("ClusterStatus", Kind::Text),
    ("ClusterCreateTime", Kind::Instant),
    ("Tags", TAGS),
];

const EVENT: Members = &[("EventId", Kind::Text), ("Message", Kind::Text)];

const SNAPSHOT: Members = &[
    ("SnapshotIdentifier", Kind::Text),
    ("ClusterIdentifier", Kind::Text),
    ("SnapshotCreateTime", Kind::Instant),
    ("Status", Kind::Text),
    ("Port", Kind::Count),
    ("AvailabilityZone", Kind::Text),
    ("ClusterCreateTime", Kind::Instant),
    ("MasterUsername", Kind::Text),
    ("ClusterVersion", Kind::Text),
    ("EngineFullVersion", Kind::Text),
    ("SnapshotType", Kind::Word(&["manual", "automated"])),
    ("NodeType", Kind::Text),
    ("NumberOfNodes", Kind::Count),
    ("DBName", Kind::Text),
    ("VpcId", Kind::Text),
    ("Encrypted", Kind::Flag),
    ("KmsKeyId", Kind::Text),
    ("EncryptedWithHSM", Kind::Flag),
    ("AccountsWithRestoreAccess", RESTORE_ACCESS),
    ("OwnerAccount", Kind::Text),
    ("TotalBackupSizeInMegaBytes", Kind::Megabytes),
    ("ActualIncrementalBackupSizeInMegaBytes", Kind::Megabytes),
    ("BackupProgressInMegaBytes", Kind::Megabytes),
    ("CurrentBackupRateInMegaBytesPerSecond", Kind::Megabytes),
    ("EstimatedSecondsToCompletion", Kind::Seconds),
    ("ElapsedTimeInSeconds", Kind::Seconds),
    ("SourceRegion", Kind::Text),
    ("Tags", TAGS),
    ("RestorableNodeTypes", Kind::Texts("NodeType")),
    ("EnhancedVpcRouting", Kind::Flag),
    ("MaintenanceTrackName", Kind::Text),
    ("ManualSnapshotRetentionPeriod", Kind::Days),
    ("ManualSnapshotRemainingDays", Kind::Count),
    ("SnapshotRetentionStartTime", Kind::Instant),
    ("MasterPasswordSecretArn", Kind::Text),
    ("MasterPasswordSecretKmsKeyId", Kind::Text),
    ("SnapshotArn", Kind::Text),
];

/// An entry stays though nothing in it can be read: the snapshot is shared.
const RESTORE_ACCESS: Kind = Kind::Structures(
    "AccountWithRestoreAccess",
    &[("AccountId", Kind::Text), ("AccountAlias", Kind::Text)],
);

impl Kind {
    fn holds(self, text: &str) -> bool {
        match self {
            Self::Text => true,
            Self::Word(words) => words.contains(&text),
            Self::Flag => bool::parse_smithy_primitive(text).is_ok(),
            Self::Count => i32::parse_smithy_primitive(text).is_ok_and(|count| count >= 0),
            Self::Days => {
                i32::parse_smithy_primitive(text).is_ok_and(|days| days == -1 || days > 0)
            }
            Self::Seconds => i64::parse_smithy_primitive(text).is_ok_and(|seconds| seconds >= 0),
            Self::Megabytes => {
                f64::parse_smithy_primitive(text).is_ok_and(|size| size.is_finite() && size >= 0.0)
            }
            Self::Instant => DateTime::from_str(text, Format::DateTimeWithOffset).is_ok(),
            Self::Texts(_) | Self::Structures(..) => false,
        }
    }

    /// Whether this, the inside of the member's element, can be read.
    fn reads(self, inside: &str) -> bool {
        let text = Some(inside).filter(|text| text.chars().all(is_plain));
        let text = text.and_then(|text| unescape(text).ok());
        text.is_some_and(|text| self.holds(&text))
    }
}

/// What XML allows as text (XML 1.0, production 2), but for what begins another element and for what stands in the place
/// of bytes that are no text.
fn is_plain(one: char) -> bool {
    !matches!(one, '<' | '\u{fffd}' | '\u{fffe}' | '\u{ffff}')
        && (one >= ' ' || matches!(one, '\t' | '\n' | '\r'))
}

/// Where the reader is.
#[derive(Clone, Copy)]
enum Inside {
    Anything,
    Structure(Members),
    /// A list, of which only elements of this name are read.
    Structures(&'static str, Members),
    Texts(&'static str),
}

/// What becomes of an element.
enum Treatment {
    Enter(Inside),
    Read(Kind),
    Drop,
}

impl Inside {
    fn treatment_of(self, name: &str) -> Treatment {
        let is = |known: &str| known == name;
        match self {
            Self::Anything => {
                let known = STRUCTURES.iter().find(|(known, _)| is(known));
                Treatment::Enter(known.map_or(self, |(_, members)| Self::Structure(members)))
            }
            Self::Structure(members) => match members.iter().find(|(known, _)| is(known)) {
                Some((_, Kind::Texts(item))) => Treatment::Enter(Self::Texts(item)),
                Some((_, Kind::Structures(item, members))) => {
                    Treatment::Enter(Self::Structures(item, members))
                }
                Some((_, kind)) => Treatment::Read(*kind),
                None => Treatment::Drop,
            },
            Self::Structures(item, members) if is(item) => {
                Treatment::Enter(Self::Structure(members))
            }
            Self::Texts(item) if is(item) => Treatment::Read(Kind::Text),
            Self::Structures(..) | Self::Texts(_) => Treatment::Drop,
        }
    }
}

/// An answer that ends before its XML does, or is no XML.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer ends before its XML does")]
pub(super) struct Incomplete;

/// The answer without the members that cannot be read.
pub(super) fn readable(answer: Vec<u8>) -> Result<Vec<u8>, Incomplete> {
    let text = String::from_utf8(answer);
    let text = text.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    let dropped = unreadable(&text)?;
    let mut answer = text.into_bytes();
    if dropped.is_empty() {
        return Ok(answer);
    }
    // In place: an answer may be large.
    let (mut kept, mut from) = (0, 0);
    for gap in dropped.iter().chain([&(answer.len()..answer.len())]) {
        answer.copy_within(from..gap.start, kept);
        kept += gap.start - from;
        from = gap.end;
    }
    answer.truncate(kept);
    Ok(answer)
}

/// Where the members are that cannot be read, in their order.
fn unreadable(answer: &str) -> Result<Vec<Range<usize>>, Incomplete> {
    let mut reader = Reader::from_str(answer);
    let (mut inside, mut path, mut dropped, mut elements) =
        (Inside::Anything, Vec::new(), Vec::new(), 0_u64);
    loop {
        let began = reader.buffer_position() as usize;
        match reader.read_event().map_err(|_| Incomplete)? {
            Event::Start(start) => {
                elements += 1;
                match inside.treatment_of(start.name().as_ref()) {
                    Treatment::Enter(deeper) => {
                        path.push(inside);
                        inside = deeper;
                    }
                    Treatment::Read(kind) => {
                        let within = skip(&mut reader)?;
                        if !answer.get(within).is_some_and(|text| kind.reads(text)) {
                            dropped.push(began..reader.buffer_position() as usize);
                        }
                    }
                    Treatment::Drop => {
                        skip(&mut reader)?;
                        dropped.push(began..reader.buffer_position() as usize);
                    }
                }
            }
            Event::Empty(start) => {
                elements += 1;
                let is_read = match inside.treatment_of(start.name().as_ref()) {
                    Treatment::Enter(_) => true,
                    Treatment::Read(kind) => kind.holds(""),
                    Treatment::Drop => false,
                };
                if !is_read {
                    dropped.push(began..reader.buffer_position() as usize);
                }
            }
            Event::End(_) => inside = path.pop().ok_or(Incomplete)?,
            Event::Eof if path.is_empty() && elements > 0 => return Ok(dropped),
            Event::Eof => return Err(Incomplete),
            _ => {}
        }
    }
}

/// Reads on behind the end of the element that has just begun; returns where its inside is.
fn skip(reader: &mut Reader<&[u8]>) -> Result<Range<usize>, Incomplete> {
    let (from, mut depth) = (reader.buffer_position() as usize, 0_u64);
    loop {
        let until = reader.buffer_position() as usize;
        match reader.read_event().map_err(|_| Incomplete)? {
            Event::Start(_) => depth += 1,
            Event::End(_) if depth == 0 => return Ok(from..until),
            Event::End(_) => depth -= 1,
            Event::Eof => return Err(Incomplete),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &str) -> String {
        String::from_utf8(readable(answer.as_bytes().to_vec()).unwrap()).unwrap()
    }

    fn snapshot(members: &str) -> String {
        format!("<R><L><Snapshots><Snapshot>{members}</Snapshot></Snapshots></L></R>")
    }

    #[test]
    fn an_answer_is_whole_when_its_root_is_closed_and_at_no_byte_before() {
        let whole = "<?xml version=\"1.0\"?>\n<Response xmlns=\"x\"><Clusters><Cluster><Id>a &amp; b</Id>\
                     </Cluster><Cluster/></Clusters></Response>";
        let is_whole = |text: &str| readable(text.as_bytes().to_vec()).is_ok();
        for end in 0..whole.len() {
            assert!(!is_whole(&whole[..end]), "{}", &whole[..end]);
        }
        for more in ["", "\n", "\r\n  "] {
            assert!(is_whole(&format!("{whole}{more}")));
        }
        assert!(is_whole("<Response/>"));
        assert!(!is_whole("<a><b></a></b>"));
    }

    #[test]
    fn a_member_that_cannot_be_read_is_dropped_and_its_neighbours_stay() {
        let name = "<SnapshotIdentifier>a</SnapshotIdentifier>";
        for odd in [
            "<ManualSnapshotRetentionPeriod>4000000000</ManualSnapshotRetentionPeriod>",
            "<ManualSnapshotRetentionPeriod>-2</ManualSnapshotRetentionPeriod>",
            "<ManualSnapshotRetentionPeriod>0</ManualSnapshotRetentionPeriod>",
            "<ManualSnapshotRetentionPeriod/>",
            "<ManualSnapshotRetentionPeriod> 7 </ManualSnapshotRetentionPeriod>",
            "<ManualSnapshotRemainingDays>soon</ManualSnapshotRemainingDays>",
            "<TotalBackupSizeInMegaBytes>-1</TotalBackupSizeInMegaBytes>",
            "<TotalBackupSizeInMegaBytes>NaN</TotalBackupSizeInMegaBytes>",
            "<ElapsedTimeInSeconds>99999999999999999999</ElapsedTimeInSeconds>",
            "<NumberOfNodes>-3</NumberOfNodes>",
            "<Port><Number>5439</Number></Port>",
            "<SnapshotCreateTime>yesterday</SnapshotCreateTime>",
            "<SnapshotCreateTime>2026-13-01T00:00:00Z</SnapshotCreateTime>",
            "<Encrypted>maybe</Encrypted>",
            "<SnapshotType>semi-automated</SnapshotType>",
            "<Status>a&b;</Status>",
            "<VpcId>\u{1}</VpcId>",
            "<Unheard><Of>4</Of></Unheard>",
            "<Unheard/>",
        ] {
            let text = snapshot(&format!("{name}{odd}{name}"));
            assert_eq!(read(&text), snapshot(&format!("{name}{name}")), "{odd}");
        }
    }

    #[test]
    fn what_the_model_allows_stays_as_it_is() {
        let text = snapshot(
            "<SnapshotIdentifier>a &amp; b</SnapshotIdentifier><Status>resting</Status>\
             <ManualSnapshotRetentionPeriod>-1</ManualSnapshotRetentionPeriod><Encrypted>true</Encrypted>\
             <TotalBackupSizeInMegaBytes>1.5E3</TotalBackupSizeInMegaBytes><Tags><Tag><Key>k</Key><Value/></Tag></Tags>\
             <SnapshotCreateTime>2026-11-24T01:02:03.456Z</SnapshotCreateTime><VpcId/>\
             <RestorableNodeTypes><NodeType>ra3</NodeType></RestorableNodeTypes>",
        );
        assert_eq!(read(&text), text);
        let error = "<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>";
        assert_eq!(read(error), error);
    }

    #[test]
    fn an_entry_of_a_list_stays_without_what_cannot_be_read_of_it() {
        let text = snapshot(
            "<AccountsWithRestoreAccess><AccountWithRestoreAccess><AccountId><X/></AccountId>\
             </AccountWithRestoreAccess><Other/></AccountsWithRestoreAccess>\
             <Tags><Tag><Key>redkeep:hold</Key><Value>&none;</Value></Tag></Tags>",
        );
        let wanted = snapshot(
            "<AccountsWithRestoreAccess><AccountWithRestoreAccess></AccountWithRestoreAccess>\
             </AccountsWithRestoreAccess><Tags><Tag><Key>redkeep:hold</Key></Tag></Tags>",
        );
        assert_eq!(read(&text), wanted);
    }

    #[test]
    fn a_byte_that_is_no_text_costs_only_its_member() {
        let (before, after) = (
            "<R><Cluster><ClusterStatus>",
            "</ClusterStatus></Cluster></R>",
        );
        let text = [before.as_bytes(), &[0xff, 0xfe], after.as_bytes()].concat();
        assert_eq!(readable(text).unwrap(), b"<R><Cluster></Cluster></R>");
    }

    #[test]
    fn however_deep_an_answer_is_nothing_overflows() {
        let deep = "<a>".repeat(300_000) + &"</a>".repeat(300_000);
        assert_eq!(read(&deep), deep);
        let deep = snapshot(&format!("<Port>{deep}</Port>"));
        assert_eq!(read(&deep), snapshot(""));
    }
}
