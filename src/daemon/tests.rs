//! The daemon's own parts, without the loop.

use super::ticker::Tick;
use super::*;
use crate::aws::AwsRedshift;
use crate::clock::{SystemClock, sleep};
use crate::config::{Sources, load};
use crate::store::{EndpointKind, Reader, copy_of};

/// A daemon with an empty history in a directory of its own, which makes no call.
fn idle(directory: &std::path::Path) -> Daemon<AwsRedshift> {
    std::fs::create_dir_all(directory).unwrap();
    let file = directory.join("redkeep.toml");
    let text = format!(
        "state_dir = {:?}\nendpoint = \"sandbox\"\n[[account]]\nname = \"a\"\nregions = [\"eu-central-1\"]\n\
         [[policy]]\nname = \"p\"\nschedule = \"@daily\"\nclusters = [\"dw\"]\nretention = \"7d\"\n",
        directory.join("state")
    );
    std::fs::write(&file, text).unwrap();
    let sources = Sources {
        file,
        environment: Vec::new(),
        profiles: Default::default(),
    };
    let config = load(&sources).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let opened = Store::open(&config.database(), EndpointKind::Sandbox, clock.now()).unwrap();
    let writer = opened.identity.installation;
    Daemon::new(Parts {
        engine: Engine::new(config, opened.history, writer, clock.now()),
        store: opened.store,
        trouble: None,
        is_checked: true,
        connect: Box::new(|_, _| Box::pin(std::future::pending())),
        zones: Place::nowhere(),
        reload: Box::new(move || {
            let loaded = load(&sources);
            Box::pin(async { loaded })
        }),
        metrics: Arc::new(Metrics::new(clock.now()).unwrap()),
        health: Arc::new(Health::starting(clock.monotonic())),
        board: Arc::default(),
        notifier: Notifier::from_environment().into(),
        client: OutgoingClient::default(),
        clock,
    })
}

#[tokio::test]
async fn the_daily_tick_makes_a_copy_that_can_be_read_and_wakes_nobody() {
    let name = format!("redkeep-daily-copy-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    let mut daemon = idle(&directory);
    let copy = copy_of(&daemon.parts.engine.config().database());
    assert!(!daemon.ticked(Tick::Upkeep).await);
    for _ in 0..100 {
        if copy.exists() {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    let history = Reader::open(&copy).unwrap().history().unwrap();
    assert!(history.runs.is_empty());
    std::fs::remove_dir_all(directory).unwrap();
}
