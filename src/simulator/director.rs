//! Runs a script: decides for each request what happens to it.

use std::sync::Arc;

use serde::Serialize;

use crate::simulator::analysis::AnalysisType;
use crate::simulator::clock::Millis;
use crate::simulator::endpoint::Endpoint;
use crate::simulator::script::{
    Action, GATEWAY, Outcome, RULES_MAX, RequestMatch, Rule, Script, Switches,
};
use crate::simulator::seed::Random;
use crate::simulator::subject::Subject;

/// What happens to one request.
#[derive(Clone, Debug, Default)]
pub struct RequestPlan {
    /// All matching rules' actions in one.
    pub action: Action,
    /// The names of those rules.
    pub rules: Vec<String>,
    endings: Vec<ScriptedEnding>,
}

#[derive(Clone, Debug)]
struct ScriptedEnding {
    of_type: Option<AnalysisType>,
    never_finish: bool,
    outcome: Option<Outcome>,
}

impl RequestPlan {
    /// Whether an analysis of this type never ends.
    pub fn never_finishes(&self, kind: AnalysisType) -> bool {
        self.endings_of(kind).any(|ending| ending.never_finish)
    }

    /// How an analysis of this type ends, if a rule says so.
    pub fn outcome(&self, kind: AnalysisType) -> Option<&Outcome> {
        self.endings_of(kind).find_map(|ending| ending.outcome.as_ref())
    }

    fn endings_of(&self, kind: AnalysisType) -> impl Iterator<Item = &ScriptedEnding> {
        self.endings.iter().filter(move |ending| ending.of_type.is_none_or(|it| it == kind))
    }
}

/// A rule, and how often it was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct RuleView<'a> {
    /// Its own name, or its place among those added.
    pub name: &'a str,
    #[serde(rename = "match")]
    when: &'a RequestMatch,
    then: &'a Action,
    /// How many requests it concerned.
    pub counts: RuleCounts,
}

/// How many requests a rule concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RuleCounts {
    /// Requests that fitted, whichever of them were chosen.
    pub seen: u64,
    /// Requests to which it was applied.
    pub applied: u64,
}

/// There is no room for further rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "rules: {present} are there, {added} more are over the limit of {RULES_MAX}; \
     DELETE /sim/rules/NAME removes a rule, DELETE /sim/script all"
)]
pub struct ScriptIsFull {
    present: usize,
    added: usize,
}

/// A script as it runs: with a count for each rule.
#[derive(Debug)]
pub struct Director {
    switches: Arc<Switches>,
    /// When the gateway of the switches first answered.
    gateway_began: Option<Millis>,
    rules: Vec<RunningRule>,
    /// Rules that were added since the script was last emptied, removed ones included.
    added: u64,
    random: Random,
}

/// A rule as it runs.
#[derive(Debug)]
struct RunningRule {
    /// Its own name, or its place among those added.
    name: String,
    rule: Rule,
    /// When the first request that fits came.
    began: Option<Millis>,
    /// Requests that fitted, whichever of them were chosen.
    seen: u64,
    /// Requests that were chosen.
    applied: u64,
}

impl Director {
    /// Starts a script.
    pub fn new(script: Script, random: Random) -> Director {
        let mut director = Director {
            switches: Arc::new(script.switches),
            gateway_began: None,
            rules: Vec::new(),
            added: 0,
            random,
        };
        director.add(script.rules);
        director
    }

    /// The switches of the moment.
    pub fn switches(&self) -> Arc<Switches> {
        self.switches.clone()
    }

    /// Sets all switches.
    pub fn switch(&mut self, switches: Switches) {
        if switches.gateway != self.switches.gateway {
            self.gateway_began = None;
        }
        self.switches = Arc::new(switches);
    }

    /// Adds rules after those there are; those beyond the limit are left out.
    pub fn add(&mut self, rules: Vec<Rule>) {
        let room = RULES_MAX.saturating_sub(self.rules.len());
        for rule in rules.into_iter().take(room) {
            self.rules.push(RunningRule::new(rule, self.added));
            self.added += 1;
        }
    }

    /// Adds rules after those there are, all or none.
    pub fn try_add(&mut self, rules: Vec<Rule>) -> Result<(), ScriptIsFull> {
        let (present, added) = (self.rules.len(), rules.len());
        if present + added > RULES_MAX {
            return Err(ScriptIsFull { present, added });
        }
        self.add(rules);
        Ok(())
    }

    /// Puts a rule into the place of the first with its name, and forgets the others of that name;
    /// where there is none, the rule is added.
    pub fn put(&mut self, name: &str, rule: Rule) -> Result<(), ScriptIsFull> {
        let Some(place) = self.rules.iter().position(|running| running.name == name) else {
            return self.try_add(vec![rule]);
        };
        self.remove(name);
        self.rules.insert(place, RunningRule::new(rule, self.added));
        self.added += 1;
        Ok(())
    }

    /// Forgets all rules with this name, and says how many there were.
    pub fn remove(&mut self, name: &str) -> usize {
        let before = self.rules.len();
        self.rules.retain(|running| running.name != name);
        before - self.rules.len()
    }

    /// Forgets all rules.
    pub fn clear_rules(&mut self) {
        self.rules.clear();
        self.added = 0;
    }

    /// Whether a rule asks for metadata or media.
    pub fn is_about_contents(&self) -> bool {
        self.rules.iter().any(|running| running.rule.when.is_about_contents())
    }

    /// The script as it stands, without counts.
    pub fn script(&self) -> Script {
        Script {
            switches: (*self.switches).clone(),
            rules: self.rules.iter().map(|running| running.rule.clone()).collect(),
            ..Script::default()
        }
    }

    /// The rules, in their order.
    pub fn rules(&self) -> impl Iterator<Item = RuleView<'_>> {
        self.rules.iter().map(|RunningRule { name, rule, seen, applied, .. }| RuleView {
            name,
            when: &rule.when,
            then: &rule.then,
            counts: RuleCounts { seen: *seen, applied: *applied },
        })
    }

    /// Decides what happens to a request, and counts it. What a gateway answers concerns no rule.
    pub fn plan(&mut self, endpoint: Endpoint, subject: &Subject, now: Millis) -> RequestPlan {
        let mut plan = RequestPlan::default();
        if let Some(action) = self.gateway(endpoint, now) {
            plan.rules.push(GATEWAY.to_owned());
            plan.action = action;
            return plan;
        }
        for running in &mut self.rules {
            if !running.fits(endpoint, subject, now) || !running.is_due(&mut self.random) {
                continue;
            }
            let Rule { when, then, .. } = &running.rule;
            plan.rules.push(running.name.clone());
            plan.action = plan.action.or(then);
            plan.endings.push(ScriptedEnding {
                of_type: when.analysis_type,
                never_finish: then.never_finish,
                outcome: then.outcome.clone(),
            });
        }
        plan
    }
}

impl Director {
    /// What the gateway does with a request; the first one begins its time.
    fn gateway(&mut self, endpoint: Endpoint, now: Millis) -> Option<Action> {
        let gateway = self.switches.gateway.as_ref().filter(|it| it.stands_before(endpoint))?;
        let began = *self.gateway_began.get_or_insert(now);
        gateway.is_there(began, now).then(|| gateway.action())
    }
}

impl RunningRule {
    fn new(rule: Rule, place: u64) -> RunningRule {
        let name = rule.name.clone().unwrap_or_else(|| place.to_string());
        RunningRule { name, rule, began: None, seen: 0, applied: 0 }
    }

    /// Whether a request fits; the first that does begins the rule's time.
    fn fits(&mut self, endpoint: Endpoint, subject: &Subject, now: Millis) -> bool {
        if !self.is_for(endpoint, subject) {
            return false;
        }
        let began = *self.began.get_or_insert(now);
        self.rule.when.for_ms.is_none_or(|for_ms| now < began.saturating_add(for_ms))
    }

    fn is_for(&self, endpoint: Endpoint, subject: &Subject) -> bool {
        let when = &self.rule.when;
        let is_folder = |wanted: &String| {
            subject.folder.is_some_and(|it| wanted.eq_ignore_ascii_case(&it.to_string()))
        };
        // How analyses end is settled when they start: elsewhere such a rule means nothing.
        let only_endings = self.rule.then.is_only_about_endings();
        when.endpoint.is_none_or(|it| it == endpoint)
            && when.folder.as_ref().is_none_or(is_folder)
            && when.analysis_type.is_none_or(|it| subject.may_concern(it))
            && (!only_endings || subject.starts)
            && subject.has_contents(when)
    }

    fn is_due(&mut self, random: &mut Random) -> bool {
        self.seen += 1;
        let when = &self.rule.when;
        let due = is_chosen(when, self.seen)
            && when.times.is_none_or(|times| self.applied < times)
            && when.probability.is_none_or(|probability| random.chance(probability));
        self.applied += u64::from(due);
        due
    }
}

fn is_chosen(when: &RequestMatch, number: u64) -> bool {
    when.nth.is_none_or(|nth| number == nth)
        && when.from.is_none_or(|from| number >= from)
        && when.to.is_none_or(|to| number <= to)
        && when.every.is_none_or(|every| number.is_multiple_of(every.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(when: RequestMatch, requests: usize) -> Vec<bool> {
        let action = Action { delay_ms: Some(1), ..Action::default() };
        let rule = Rule { name: None, when, then: action };
        let script = Script { rules: vec![rule], ..Script::default() };
        let mut director = Director::new(script, Random::new(Some(3)));
        let mut ask = || director.plan(Endpoint::Login, &Subject::default(), 0).action.delay_ms;
        (0..requests).map(|_| ask().is_some()).collect()
    }

    #[test]
    fn rules_choose_by_number() {
        let when = RequestMatch { nth: Some(2), ..RequestMatch::default() };
        assert_eq!(delays(when, 3), [false, true, false]);
        let when = RequestMatch { from: Some(2), to: Some(3), ..RequestMatch::default() };
        assert_eq!(delays(when, 4), [false, true, true, false]);
        let when = RequestMatch { every: Some(2), times: Some(1), ..RequestMatch::default() };
        assert_eq!(delays(when, 4), [false, true, false, false]);
    }

    #[test]
    fn chances_repeat_with_the_seed() {
        let when = RequestMatch { probability: Some(0.5), ..RequestMatch::default() };
        assert_eq!(delays(when.clone(), 50), delays(when.clone(), 50));
        let due = delays(when, 50).iter().filter(|due| **due).count();
        assert!((10..40).contains(&due), "{due}");
    }

    #[test]
    fn an_outcome_is_for_its_own_type() {
        let rule = Rule::default()
            .of_type(AnalysisType::Biometry)
            .then(Action { outcome: Some(Outcome::scored("X", 0.1)), ..Action::default() });
        let script = Script { rules: vec![rule], ..Script::default() };
        let mut director = Director::new(script, Random::new(Some(3)));
        let types = vec![AnalysisType::Quality, AnalysisType::Biometry];
        let subject = Subject::that_starts(types);
        let plan = director.plan(Endpoint::StartAnalyses, &subject, 0);
        assert!(plan.outcome(AnalysisType::Biometry).is_some());
        assert!(plan.outcome(AnalysisType::Quality).is_none());
    }

    fn director(rules: Vec<Rule>) -> Director {
        let script = Script { rules, ..Script::default() };
        Director::new(script, Random::new(Some(3)))
    }

    fn delayed(when: RequestMatch) -> Rule {
        let then = Action { delay_ms: Some(1), ..Action::default() };
        Rule { name: None, when, then }
    }

    #[test]
    fn a_rule_with_a_time_ends_by_the_clock() {
        let mut director =
            director(vec![delayed(RequestMatch { for_ms: Some(100), ..RequestMatch::default() })]);
        let mut is_delayed = |now| {
            let plan = director.plan(Endpoint::Version, &Subject::default(), now);
            plan.action.delay_ms.is_some()
        };
        assert_eq!([5_000, 5_099, 5_100, 9_000].map(&mut is_delayed), [true, true, false, false]);
    }

    #[test]
    fn a_rule_chooses_folders_by_all_that_it_names_of_their_metadata() {
        let meta_data = |pairs: &[(&str, i32)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect()
        };
        let when =
            RequestMatch { meta_data: meta_data(&[("a", 1), ("b", 2)]), ..RequestMatch::default() };
        let mut director = director(vec![delayed(when)]);
        let mut fits = |pairs| {
            let subject = Subject::with_meta_data(meta_data(pairs));
            director.plan(Endpoint::GetFolder, &subject, 0).action.delay_ms.is_some()
        };
        assert!(fits(&[("a", 1), ("b", 2), ("c", 3)]));
        assert!(!fits(&[("a", 1), ("b", 3)]));
        assert!(!fits(&[]));
    }

    #[test]
    fn names_stay_when_other_rules_go() {
        let named = Rule { name: Some("mine".to_owned()), ..delayed(RequestMatch::default()) };
        let mut director = director(vec![named.clone(), delayed(RequestMatch::default()), named]);
        assert_eq!(director.remove("mine"), 2);
        let names = |director: &Director| {
            director.rules().map(|rule| rule.name.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&director), ["1"]);
        director.add(vec![delayed(RequestMatch::default())]);
        assert_eq!(names(&director), ["1", "3"]);
        director.put("1", Rule { name: Some("1".to_owned()), ..Rule::default() }).expect("room");
        assert_eq!(names(&director), ["1", "3"]);
        assert!(director.plan(Endpoint::Login, &Subject::default(), 0).rules == ["1", "3"]);
    }

    #[test]
    fn a_full_script_says_what_to_do() {
        let mut director = director(vec![Rule::default(); RULES_MAX]);
        let full = director.try_add(vec![Rule::default()]).expect_err("the script is full");
        let told = full.to_string();
        assert!(told.contains("1000") && told.contains("DELETE /sim/rules/NAME"), "{told}");
        assert_eq!(director.remove("7"), 1);
        assert!(director.try_add(vec![Rule::default()]).is_ok());
    }
}
