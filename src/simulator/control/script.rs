//! `/sim/script` and `/sim/switches`: shows and changes the script that the simulator runs.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Done, misread, read, refused};
use crate::simulator::fault::HttpAnswer;
use crate::simulator::lock;
use crate::simulator::script::{Rule, Script, Switches};
use crate::simulator::world::World;

/// `GET /sim/script`
pub fn show(world: &World) -> HttpAnswer {
    let director = lock(&world.director);
    let mut view = json!(director.script());
    view["counts"] = director.rules().map(|rule| json!(rule.counts)).collect();
    HttpAnswer::json(200, &view)
}

fn read_script(body: &[u8]) -> Result<Script, HttpAnswer> {
    let text = std::str::from_utf8(body).map_err(|_| refused(400, "the script is not UTF-8"))?;
    Script::from_json(text).map_err(|message| refused(400, message))
}

/// `PUT /sim/script`
pub fn replace(world: &World, body: &[u8]) -> Done {
    let new = read_script(body)?;
    let mut director = lock(&world.director);
    director.clear_rules();
    director.switch(new.switches);
    director.add(new.rules);
    drop(director);
    Ok(show(world))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MoreRules {
    version: u32,
    rules: Vec<Rule>,
}

/// `POST /sim/script`
pub fn add_rules(world: &World, body: &[u8]) -> Done {
    let MoreRules { version, rules } = read(body)?;
    let script = Script { version, rules, ..Script::default() };
    let checked = script.checked().map_err(|message| refused(400, message))?;
    let added = lock(&world.director).try_add(checked.rules);
    added.map_err(|full| refused(400, full.to_string()))?;
    Ok(show(world))
}

/// `DELETE /sim/script`
pub fn clear(world: &World) -> HttpAnswer {
    let mut director = lock(&world.director);
    director.clear_rules();
    director.switch(Switches::default());
    HttpAnswer::empty(204)
}

/// `PATCH /sim/switches`: keys that are left out keep their value.
pub fn change_switches(world: &World, body: &[u8]) -> Done {
    let Value::Object(changes) = read(body)? else {
        return Err(refused(400, "the body must be an object of switches"));
    };
    let mut director = lock(&world.director);
    let mut switches = json!(*director.switches());
    for (key, value) in changes {
        switches[key] = value;
    }
    let switches = serde_json::from_value(switches).map_err(|error| misread(&error))?;
    let script = Script { switches, ..Script::default() };
    let checked = script.checked().map_err(|message| refused(400, message))?;
    director.switch(checked.switches);
    Ok(HttpAnswer::json(200, &json!(*director.switches())))
}
