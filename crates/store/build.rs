//! Tells cargo that the migrations are part of the source: `include_dir!` does not.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
