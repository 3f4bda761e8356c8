//! A cron matcher written for the oracle alone: it tries each item of each field.

use chrono::{Datelike, NaiveDate, TimeDelta};

/// A cron expression as lists of items, matched by trying each.
pub struct Oracle {
    pub fixed_time: bool,
    /// Second, minute, hour, each as the set of matching numbers.
    pub times: [Vec<bool>; 3],
    months: Vec<bool>,
    dom: String,
    dow: String,
}

impl Oracle {
    pub fn parse(text: &str) -> Self {
        let text = match text {
            "@hourly" => "0 * * * *",
            "@weekly" => "0 0 * * 0",
            other => other,
        };
        let mut text = text.replace('?', "*");
        let months = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC";
        for (number, name) in months.split(' ').enumerate() {
            text = text.replace(name, &(number + 1).to_string());
        }
        text = text.replace("-SUN", "-7");
        for (number, name) in "SUN MON TUE WED THU FRI SAT".split(' ').enumerate() {
            text = text.replace(name, &number.to_string());
        }
        let mut fields: Vec<&str> = text.split(' ').collect();
        if fields.len() == 5 {
            fields.insert(0, "0");
        }
        Self {
            fixed_time: !fields[..3].iter().any(|field| field.contains(['*', '/'])),
            times: [
                set(fields[0], 0, 59),
                set(fields[1], 0, 59),
                set(fields[2], 0, 23),
            ],
            months: set(fields[4], 1, 12),
            dom: fields[3].to_owned(),
            dow: fields[5].to_owned(),
        }
    }

    pub fn day(&self, date: NaiveDate) -> bool {
        let dom = self.dom.split(',').any(|item| dom_matches(item, date));
        let dow = self.dow.split(',').any(|item| dow_matches(item, date));
        self.months[date.month() as usize]
            && match (self.dom.as_str(), self.dow.as_str()) {
                ("*", _) => dow,
                (_, "*") => dom,
                _ => dom || dow,
            }
    }
}

fn dom_matches(item: &str, date: NaiveDate) -> bool {
    let month: Vec<NaiveDate> = (1..=31).filter_map(|d| date.with_day(d)).collect();
    let working = |d: &&NaiveDate| d.weekday().number_from_monday() <= 5;
    let last = month[month.len() - 1];
    match item {
        "L" => date == last,
        "LW" => month.iter().rev().find(working) == Some(&date),
        _ => match item.strip_suffix('W') {
            // The working day with the smallest distance; of two such there never is a choice.
            Some(day) => {
                let wanted: i64 = day.parse().unwrap();
                let distance = |d: &&NaiveDate| (i64::from(d.day()) - wanted).abs();
                wanted <= i64::from(last.day())
                    && month.iter().filter(working).min_by_key(distance) == Some(&date)
            }
            None => set(item, 1, 31)[date.day() as usize],
        },
    }
}

fn dow_matches(item: &str, date: NaiveDate) -> bool {
    let weekday = date.weekday().num_days_from_sunday() as usize;
    let same = |day: &str| day.parse::<usize>().unwrap() % 7 == weekday;
    let sevens = |weeks: i64| date + TimeDelta::days(7 * weeks);
    if let Some((day, nth)) = item.split_once('#') {
        let nth: i64 = nth.parse().unwrap();
        let first = sevens(1 - nth).month() == date.month();
        return same(day) && first && sevens(-nth).month() != date.month();
    }
    if let Some(day) = item.strip_suffix('L') {
        return same(day) && sevens(1).month() != date.month();
    }
    let days = set(item, 0, 7);
    days[weekday] || (weekday == 0 && days[7])
}

/// The numbers that a list of `*`, `a`, `a-b`, `…/n` matches, as a table up to `max`.
fn set(field: &str, min: usize, max: usize) -> Vec<bool> {
    let mut table = vec![false; max + 1];
    for item in field.split(',') {
        let (range, step) = item.split_once('/').unwrap_or((item, "1"));
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (first.parse().unwrap(), last.parse().unwrap()),
            None if range == "*" => (min, max),
            None => (range.parse().unwrap(), range.parse().unwrap()),
        };
        for number in (first..=last).step_by(step.parse().unwrap()) {
            table[number] = true;
        }
    }
    table
}
