//! `/sim/rules`: single rules by name, so that suites that share a simulator remove only their own.

use serde_json::{Value, json};

use super::{Done, read, refused};
use crate::simulator::fault::HttpAnswer;
use crate::simulator::lock;
use crate::simulator::script::{Rule, Script};
use crate::simulator::world::World;

/// `GET /sim/rules`
pub fn list(world: &World) -> HttpAnswer {
    let director = lock(&world.director);
    HttpAnswer::json(200, &json!({ "items": director.rules().collect::<Vec<_>>() }))
}

/// `GET /sim/rules/{name}`: all rules with this name.
pub fn get(world: &World, name: &str) -> Done {
    let director = lock(&world.director);
    let items: Vec<Value> =
        director.rules().filter(|rule| rule.name == name).map(|rule| json!(rule)).collect();
    if items.is_empty() { Err(unknown(name)) } else { Ok(found(items)) }
}

/// `PUT /sim/rules/{name}`: replaces all rules with this name, or adds the rule.
pub fn put(world: &World, name: &str, body: &[u8]) -> Done {
    let rule: Rule = read(body)?;
    if rule.name.as_ref().is_some_and(|own| own != name) {
        return Err(refused(400, "name: differs from the name in the path"));
    }
    let rules = vec![Rule { name: Some(name.to_owned()), ..rule }];
    let script = Script { rules, ..Script::default() };
    let mut checked = script.checked().map_err(|message| refused(400, message))?;
    if let Some(rule) = checked.rules.pop() {
        let put = lock(&world.director).put(name, rule);
        put.map_err(|full| refused(400, full.to_string()))?;
    }
    get(world, name)
}

/// `DELETE /sim/rules/{name}`: all rules with this name.
pub fn remove(world: &World, name: &str) -> Done {
    match lock(&world.director).remove(name) {
        0 => Err(unknown(name)),
        removed => Ok(HttpAnswer::json(200, &json!({ "removed": removed }))),
    }
}

fn found(items: Vec<Value>) -> HttpAnswer {
    HttpAnswer::json(200, &json!({ "items": items }))
}

fn unknown(name: &str) -> HttpAnswer {
    refused(404, format!("no rule is called {name:?}: GET /sim/rules lists them"))
}
