"""Judges clocks by Python's zoneinfo and PyPI's tzdata: what cron slots every zone has, as JSON on stdout.

{"version": the data's version, "zones": [{"names": zones with the same data, "slots": {expression: [window, …]}}, …]}.
A window is the slots of some neighbouring days, in seconds since 1970: five around each change of the clocks in the years
asked for, and three in each January and July. Run it with an empty PYTHONTZPATH, so that the system's data does not count.
"""

import json
import sys
from datetime import date, datetime, time, timedelta, timezone
from importlib import resources
from zoneinfo import ZoneInfo, available_timezones

import tzdata

FIXED = {"30 2 * * *": time(2, 30), "0 0 * * *": time(0), "30 1 * * *": time(1, 30), "45 23 * * *": time(23, 45)}
INTERVAL = "*/30 * * * *"
DAY = timedelta(days=1)
FIRST, LAST = (int(year) for year in sys.argv[1:])


def seconds(instant):
    return int(instant.timestamp())


def offset(zone, at):
    return datetime.fromtimestamp(at, zone).utcoffset()


def changes(zone):
    """The first second of each new offset."""
    found = []
    at, end = (seconds(datetime(year, 1, 1, tzinfo=timezone.utc)) for year in (FIRST, LAST + 1))
    while at < end:
        if offset(zone, at) != offset(zone, at + 86400):
            low, high = at, at + 86400
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(zone, middle) == offset(zone, at) else (low, middle)
            found.append(high)
        at += 86400
    return found


def reached(zone, local, jumps):
    """When the clocks first show `local`, or the end of the gap that it lies in."""
    at = seconds(local.replace(tzinfo=zone))
    if datetime.fromtimestamp(at, zone).replace(tzinfo=None) == local:
        return at
    return min(jumps, key=lambda jump: abs(jump - at))


def days_of(first, count):
    return [first + DAY * number for number in range(count)]


def windows(zone):
    jumps = changes(zone)
    around = [days_of(datetime.fromtimestamp(jump, zone).date() - 2 * DAY, 5) for jump in jumps]
    sampled = [days_of(date(year, month, 10), 3) for year in range(FIRST, LAST + 1) for month in (1, 7)]
    slots = {}
    for expression, of_day in FIXED.items():
        stretches = ([reached(zone, datetime.combine(day, of_day), jumps) for day in days] for days in around + sampled)
        # Slots that coincide are one.
        slots[expression] = [sorted(set(stretch)) for stretch in stretches]
    quarters = ([jump - jump % 900 + 900 * step for step in range(-48, 48)] for jump in jumps)
    even = lambda at: datetime.fromtimestamp(at, zone).minute % 30 == 0
    slots[INTERVAL] = [[at for at in stretch if even(at)] for stretch in quarters]
    return slots


same = {}
for name in sorted(available_timezones()):
    data = resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
    same.setdefault(data, []).append(name)
zones = [{"names": names, "slots": windows(ZoneInfo(names[0]))} for names in same.values()]
json.dump({"version": tzdata.IANA_VERSION, "zones": zones}, sys.stdout)
