//! The simulator as its callers see it, over real HTTP.

mod bounds;
mod client;
mod faults;
mod flow;
mod lists;
mod made_folders;
mod rules;
mod sessions;
mod side_door;
mod switches;
mod tls;
mod uploads;
