//! What is asked for, by the address.
//!
//! Owns: the names of the parameters, and an address for other values of them. Never believes a value: what names nothing
//! is answered as not found.

use form_urlencoded::Serializer;

/// The parameters of a request, by name; of one that is there twice the last counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Those of the part of an address behind its question mark. One without a value is as one that is not there: so a form
    /// sends what nobody has filled in.
    pub(super) fn read(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let pairs = pairs.filter(|(_, value)| !value.is_empty());
        Self(
            pairs
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    /// The value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let last = self.0.iter().rev().find(|(known, _)| known == name);
        last.map(|(_, value)| value.as_str())
    }
}

/// What of the fleet is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) policy: Option<String>,
    pub(super) account: Option<String>,
    pub(super) region: Option<String>,
    /// A part of the cluster's name.
    pub(super) cluster: Option<String>,
    pub(super) state: Option<String>,
    /// From 1 on.
    pub(super) page: usize,
}

impl Filter {
    /// `None` where the page's number is none.
    pub(super) fn read(parameters: &Parameters) -> Option<Self> {
        let text = |name| parameters.get(name).map(str::to_owned);
        let page = parameters.get("page").unwrap_or("1").parse();
        Some(Self {
            policy: text("policy"),
            account: text("account"),
            region: text("region"),
            cluster: text("cluster"),
            state: text("state"),
            page: page.ok().filter(|page| *page > 0)?,
        })
    }

    /// Whether everything is shown.
    pub(super) fn is_all(&self) -> bool {
        let all = Self {
            page: self.page,
            ..Self::default()
        };
        *self == all
    }

    /// The address of the same with another page's number.
    pub(super) fn at_page(&self, page: usize) -> String {
        let mut parameters = Vec::new();
        for (name, value) in [
            ("policy", &self.policy),
            ("account", &self.account),
            ("region", &self.region),
            ("cluster", &self.cluster),
            ("state", &self.state),
        ] {
            parameters.extend(value.as_deref().map(|value| (name, value)));
        }
        let number = page.to_string();
        if page > 1 {
            parameters.push(("page", &number));
        }
        address("/", &parameters)
    }
}

/// An address with these parameters.
pub(super) fn address(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = Serializer::new(String::new());
    query.extend_pairs(parameters);
    match query.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_from_its_own_address() {
        let read = |query| Filter::read(&Parameters::read(query));
        let filter = read(Some(
            "policy=a%26b&cluster=%3Cb%3E&state=&page=3&page=2&x=y",
        ))
        .unwrap();
        assert_eq!(filter.policy.as_deref(), Some("a&b"));
        assert_eq!(filter.cluster.as_deref(), Some("<b>"));
        assert_eq!((filter.state.clone(), filter.page), (None, 2));
        let address = filter.at_page(2);
        let (_, query) = address.split_once('?').unwrap();
        assert_eq!(read(Some(query)), Some(filter));
        for wrong in [
            "page=0",
            "page=-1",
            "page=x",
            "page=99999999999999999999999",
        ] {
            assert_eq!(read(Some(wrong)), None, "{wrong}");
        }
        assert!(read(None).unwrap().is_all());
        assert_eq!(read(None).unwrap().at_page(1), "/");
    }
}
