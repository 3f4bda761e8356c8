//! The same snapshots by the bare SDK: what redkeep is built on, with nothing around it.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_redshift::types::Tag;
use tokio::sync::Semaphore;

use crate::boto3::THREADS;
use crate::daemon::credentials;
use crate::server::Server;

/// The seconds that it took in a process of its own, and of CPU.
pub fn run(server: &Server) -> (f64, f64) {
    let mut child = credentials(&mut Command::new(std::env::current_exe().unwrap()))
        .args(["--sdk", &format!("http://{}", server.address)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let work = server.clusters().join("\n");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(work.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let (wall, cpu) = told.trim().split_once(' ').unwrap();
    (wall.parse().unwrap(), cpu.parse().unwrap())
}

/// Asks for a snapshot of each cluster of the standard input, as the process of [`run`].
pub fn ask(url: &str) {
    let mut work = String::new();
    std::io::stdin().read_to_string(&mut work).unwrap();
    let began = Instant::now();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(ask_all(url, &work));
    println!("{} {}", began.elapsed().as_secs_f64(), cpu_seconds());
}

async fn ask_all(url: &str, work: &str) {
    let room = Arc::new(Semaphore::new(THREADS));
    let mut clients = std::collections::BTreeMap::new();
    let mut asked = Vec::new();
    for pair in work.lines() {
        let (region, cluster) = pair.split_once('/').unwrap();
        let (region, cluster) = (region.to_owned(), cluster.to_owned());
        if !clients.contains_key(&region) {
            let settings = aws_config::defaults(BehaviorVersion::latest())
                .http_client(aws_smithy_http_client::Builder::new().build_http())
                .region(Region::new(region.clone()))
                .endpoint_url(url)
                .load()
                .await;
            clients.insert(region.clone(), aws_sdk_redshift::Client::new(&settings));
        }
        let (client, room) = (clients[&region].clone(), Arc::clone(&room));
        asked.push(tokio::spawn(async move {
            let _turn = room.acquire().await.unwrap();
            let tags = (0..7).map(|number| {
                let tag = Tag::builder().key(format!("key-{number}"));
                tag.value(cluster.clone()).build()
            });
            let call = client.create_cluster_snapshot();
            let call = call.set_tags(Some(tags.collect()));
            let call = call.manual_snapshot_retention_period(35);
            let call = call.snapshot_identifier(format!("sdk-{cluster}"));
            call.cluster_identifier(cluster).send().await.unwrap();
        }));
    }
    for one in asked {
        one.await.unwrap();
    }
}

/// User and system time of this process (proc(5)), in clock ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    crate::daemon::cpu_seconds_in(&stat)
}
