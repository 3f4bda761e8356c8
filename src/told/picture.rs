//! The forecast as a picture for a browser.

use plotters::prelude::*;

use crate::forecast::Forecast;

const SVG: (u32, u32) = (960, 480);

/// The number held over time, a line for each account and region, and their quotas, as an SVG document.
///
/// # Errors
/// What the library could not draw.
pub(crate) fn svg(forecast: &Forecast) -> Result<String, String> {
    let mut document = String::new();
    draw(forecast, &mut document)
        .map_err(|error| format!("the picture cannot be drawn: {error}"))?;
    Ok(document)
}

fn draw(forecast: &Forecast, document: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::with_string(document, SVG).into_drawing_area();
    area.fill(&WHITE)?;
    let scopes = &forecast.scopes;
    let last = scopes.iter().map(|scope| scope.days.len()).max();
    let last = last.unwrap_or_default().saturating_sub(1).max(1);
    let highest = scopes
        .iter()
        .map(|scope| scope.peak.held.max(scope.quota as usize));
    let highest = highest.max().unwrap_or_default();
    let title = format!(
        "Manual snapshots held, {} to {}",
        forecast.from.date_naive(),
        forecast.until.date_naive()
    );
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 22))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(60)
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
        .x_labels(8)
        .x_label_formatter(&date)
        .draw()?;
    for (index, scope) in scopes.iter().enumerate() {
        let colour = Palette99::pick(index).to_rgba();
        let line = scope.days.iter().map(|day| day.held).enumerate();
        chart
            .draw_series(LineSeries::new(line, colour.stroke_width(2)))?
            .label(scope.scope.to_string())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
        let quota = scope.quota as usize;
        let ends = [(0, quota), (last, quota)];
        let dashed = colour.stroke_width(1);
        chart
            .draw_series(DashedLineSeries::new(ends, 6, 4, dashed))?
            .label(format!("{}: quota {quota}", scope.scope))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 6, y)], colour));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .label_font(("sans-serif", 13))
        .draw()?;
    area.present()?;
    Ok(())
}
