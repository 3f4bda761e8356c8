//! The forecast as a picture for a browser.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::forecast::Forecast;

/// How large a picture is, and what has room in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    /// For a page or a file.
    Wide,
    /// For a phone.
    Narrow,
}

impl Frame {
    /// Width and height in pixels, where the legend has no more than two lines.
    pub(crate) fn size(self) -> (u32, u32) {
        match self {
            Self::Wide => (960, 480),
            Self::Narrow => (340, 360),
        }
    }

    fn dates(self) -> usize {
        match self {
            Self::Wide => 8,
            Self::Narrow => 3,
        }
    }
}

/// How high a line of the legend is.
const LINE: u32 = 18;

/// Its font.
const SMALL: (&str, i32) = ("sans-serif", 13);

/// The number held over time, a line for each account and region, and their quotas, as an SVG document. The legend stands
/// below, where it covers nothing.
///
/// # Errors
/// What the library could not draw.
pub(crate) fn svg(forecast: &Forecast, frame: Frame) -> Result<String, String> {
    let mut document = String::new();
    draw(forecast, frame, &mut document)
        .map_err(|error| format!("the picture cannot be drawn: {error}"))?;
    Ok(document)
}

fn draw(
    forecast: &Forecast,
    frame: Frame,
    document: &mut String,
) -> Result<(), Box<dyn std::error::Error>> {
    let (width, height) = frame.size();
    let lines = u32::try_from(forecast.scopes.len() * 2)?;
    let chart_height = height - 2 * LINE - LINE / 2;
    let size = (width, chart_height + lines.max(2) * LINE + LINE / 2);
    let area = SVGBackend::with_string(document, size).into_drawing_area();
    area.fill(&WHITE)?;
    let (chart, legend) = area.split_vertically(chart_height);
    draw_chart(forecast, frame, &chart)?;
    draw_legend(forecast, &legend)?;
    area.present()?;
    Ok(())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw_chart(
    forecast: &Forecast,
    frame: Frame,
    area: &Area<'_>,
) -> Result<(), Box<dyn std::error::Error>> {
    let scopes = &forecast.scopes;
    let last = scopes.iter().map(|scope| scope.days.len()).max();
    let last = last.unwrap_or_default().saturating_sub(1).max(1);
    let highest = scopes
        .iter()
        .map(|scope| scope.peak.held.max(scope.quota as usize));
    let highest = highest.max().unwrap_or_default();
    let mut builder = ChartBuilder::on(area);
    if frame == Frame::Wide {
        let title = format!(
            "Number of manual snapshots, {} to {}",
            forecast.from.date_naive(),
            forecast.until.date_naive()
        );
        builder.caption(title, ("sans-serif", 22));
    }
    let (margin, labels) = match frame {
        Frame::Wide => (16, 60),
        Frame::Narrow => (6, 52),
    };
    let mut chart = builder
        .margin(margin)
        .x_label_area_size(44)
        .y_label_area_size(labels)
        .build_cartesian_2d(0..last, 0..highest + highest / 10 + 1)?;
    let date = |day: &usize| {
        let days = scopes.first().map(|scope| &scope.days);
        let day = days.and_then(|days| days.get(*day));
        day.map(|day| day.date.to_string()).unwrap_or_default()
    };
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("date (UTC)")
        .y_desc("snapshots")
        .x_labels(frame.dates())
        .x_label_formatter(&date)
        .draw()?;
    for (index, scope) in scopes.iter().enumerate() {
        let colour = Palette99::pick(index).to_rgba();
        let line = scope.days.iter().map(|day| day.held).enumerate();
        chart.draw_series(LineSeries::new(line, colour.stroke_width(2)))?;
        let quota = scope.quota as usize;
        let ends = [(0, quota), (last, quota)];
        chart.draw_series(DashedLineSeries::new(ends, 6, 4, colour.stroke_width(1)))?;
    }
    Ok(())
}

/// A line for each account and region, and one for its quota.
fn draw_legend(forecast: &Forecast, area: &Area<'_>) -> Result<(), Box<dyn std::error::Error>> {
    let row = i32::try_from(LINE)?;
    let mut y = row / 2;
    for (index, scope) in forecast.scopes.iter().enumerate() {
        let colour = Palette99::pick(index).to_rgba();
        let held = (
            colour.stroke_width(2),
            vec![(12, 32)],
            scope.scope.to_string(),
        );
        let quota = format!("{}: quota {}", scope.scope, scope.quota);
        let quota = (colour.stroke_width(1), vec![(12, 18), (26, 32)], quota);
        for (style, strokes, text) in [held, quota] {
            for (from, to) in strokes {
                area.draw(&PathElement::new([(from, y), (to, y)], style))?;
            }
            area.draw(&Text::new(text, (40, y - 7), SMALL))?;
            y += row;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_for_a_phone_is_as_wide_as_one_and_its_legend_is_below_the_chart() {
        let at = chrono::DateTime::UNIX_EPOCH;
        let text = "[[account]]\nname = \"prod\"\nregions = [\"us-east-1\"]\n[[policy]]\nname = \"p\"\n\
                    schedule = \"@daily\"\nclusters = [\"dw\"]\nretention = \"7d\"\n";
        let file =
            std::env::temp_dir().join(format!("redkeep-picture-{}.toml", std::process::id()));
        std::fs::write(&file, text).unwrap();
        let sources = crate::config::Sources {
            file: file.clone(),
            environment: Vec::new(),
            profiles: Default::default(),
        };
        let config = crate::config::load(&sources).unwrap();
        std::fs::remove_file(file).unwrap();
        let past = crate::outline::Outline::default();
        let forecast = crate::forecast::forecast(&config, &past, at, crate::forecast::YEAR);
        for (frame, width) in [(Frame::Wide, 960), (Frame::Narrow, 340)] {
            let svg = svg(&forecast, frame).unwrap();
            assert!(svg.contains(&format!("width=\"{width}\"")), "{svg}");
            let line = svg.find("<polyline").unwrap();
            let legend = svg.find("prod/us-east-1: quota 20").unwrap();
            assert!(line < legend, "{svg}");
        }
    }
}
