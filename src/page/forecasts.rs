//! The forecasts of accounts and regions, for a minute each.
//!
//! Owns: which are still good. A forecast looks a year ahead and may take a second where a policy is due each minute; a page
//! and the picture in it are made of one.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::Config;
use crate::forecast::Forecast;
use crate::slot::Scope;

/// How long a forecast is shown.
const GOOD_FOR: TimeDelta = TimeDelta::seconds(60);

/// How many are kept.
const KEPT: usize = 16;

/// The forecasts that were made last.
#[derive(Debug, Default)]
pub struct Forecasts(Mutex<Vec<Made>>);

#[derive(Debug, Clone)]
struct Made {
    scope: Scope,
    config: Arc<Config>,
    forecast: Arc<Forecast>,
}

impl Forecasts {
    /// The forecast of a scope: one that was made a moment ago under the same configuration, or else a new one.
    ///
    /// # Errors
    /// Those of `make`.
    pub(super) fn of<E>(
        &self,
        scope: &Scope,
        config: &Arc<Config>,
        now: DateTime<Utc>,
        make: impl FnOnce() -> Result<Forecast, E>,
    ) -> Result<Arc<Forecast>, E> {
        let is_good = |made: &Made| {
            let age = now - made.forecast.from;
            Arc::ptr_eq(&made.config, config) && TimeDelta::zero() <= age && age < GOOD_FOR
        };
        self.change(|all| all.retain(is_good));
        let known = self.change(|all| all.iter().find(|made| made.scope == *scope).cloned());
        if let Some(made) = known {
            return Ok(made.forecast);
        }
        let forecast = Arc::new(make()?);
        let made = Made {
            scope: scope.clone(),
            config: Arc::clone(config),
            forecast: Arc::clone(&forecast),
        };
        self.change(|all| {
            all.truncate(KEPT - 1);
            all.insert(0, made);
        });
        Ok(forecast)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<Made>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
