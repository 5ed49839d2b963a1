//! Runs a script: decides what happens to each request, and counts the requests of each rule.

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
    /// The actions of all rules that apply, merged; the first rule that sets a key wins.
    pub action: Action,
    /// The names of the rules that apply.
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
    /// Whether an analysis of this type, started by the request, never ends.
    pub fn never_finishes(&self, kind: AnalysisType) -> bool {
        self.endings_of(kind).any(|ending| ending.never_finish)
    }

    /// The outcome that the first rule with one sets for analyses of this type.
    pub fn outcome(&self, kind: AnalysisType) -> Option<&Outcome> {
        self.endings_of(kind).find_map(|ending| ending.outcome.as_ref())
    }

    fn endings_of(&self, kind: AnalysisType) -> impl Iterator<Item = &ScriptedEnding> {
        self.endings.iter().filter(move |ending| ending.of_type.is_none_or(|it| it == kind))
    }
}

/// A rule with its counts, as `/sim/rules` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct RuleView<'a> {
    /// The rule's own name, or its place among the rules added so far.
    pub name: &'a str,
    #[serde(rename = "match")]
    when: &'a RequestMatch,
    then: &'a Action,
    pub counts: RuleCounts,
}

/// How many requests a rule has matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RuleCounts {
    /// Requests that match, including those that `nth` and the like pass over.
    pub seen: u64,
    /// Requests that the rule was applied to.
    pub applied: u64,
}

/// Refusal of rules beyond the limit of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "rules: {present} existing and {added} new exceed the limit of {RULES_MAX}; \
     DELETE /sim/rules/NAME removes a rule, DELETE /sim/script all"
)]
pub struct ScriptIsFull {
    present: usize,
    added: usize,
}

/// A running script, with counts for each rule.
#[derive(Debug)]
pub struct Director {
    switches: Arc<Switches>,
    /// When the gateway first answered; its `for_ms` counts from then.
    gateway_began: Option<Millis>,
    rules: Vec<RunningRule>,
    /// Rules added since the script was last emptied, removed ones included: the place of the next
    /// rule, which serves as its name if it has none.
    added: u64,
    random: Random,
}

/// A rule with its state.
#[derive(Debug)]
struct RunningRule {
    /// The rule's own name, or its place among the rules added so far.
    name: String,
    rule: Rule,
    /// When the first matching request came; `for_ms` counts from then.
    began: Option<Millis>,
    seen: u64,
    applied: u64,
}

impl Director {
    /// Starts a script, with all counts at zero.
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

    /// The current switches.
    pub fn switches(&self) -> Arc<Switches> {
        self.switches.clone()
    }

    /// Replaces all switches. If the gateway changes, its time starts again.
    pub fn switch(&mut self, switches: Switches) {
        if switches.gateway != self.switches.gateway {
            self.gateway_began = None;
        }
        self.switches = Arc::new(switches);
    }

    /// Adds rules after the existing ones; those beyond the limit are left out.
    pub fn add(&mut self, rules: Vec<Rule>) {
        let room = RULES_MAX.saturating_sub(self.rules.len());
        for rule in rules.into_iter().take(room) {
            self.rules.push(RunningRule::new(rule, self.added));
            self.added += 1;
        }
    }

    /// Adds rules after the existing ones, all or none.
    pub fn try_add(&mut self, rules: Vec<Rule>) -> Result<(), ScriptIsFull> {
        let (present, added) = (self.rules.len(), rules.len());
        if present + added > RULES_MAX {
            return Err(ScriptIsFull { present, added });
        }
        self.add(rules);
        Ok(())
    }

    /// Replaces all rules with this name by `rule`, in the place of the first one. If there is
    /// none, adds `rule` at the end.
    pub fn put(&mut self, name: &str, rule: Rule) -> Result<(), ScriptIsFull> {
        let Some(place) = self.rules.iter().position(|running| running.name == name) else {
            return self.try_add(vec![rule]);
        };
        self.remove(name);
        self.rules.insert(place, RunningRule::new(rule, self.added));
        self.added += 1;
        Ok(())
    }

    /// Removes all rules with this name, and returns their number.
    pub fn remove(&mut self, name: &str) -> usize {
        let before = self.rules.len();
        self.rules.retain(|running| running.name != name);
        before - self.rules.len()
    }

    /// Removes all rules; places count from 0 again.
    pub fn clear_rules(&mut self) {
        self.rules.clear();
        self.added = 0;
    }

    /// Whether any rule matches by metadata or media.
    pub fn is_about_contents(&self) -> bool {
        self.rules.iter().any(|running| running.rule.when.is_about_contents())
    }

    /// The current script, without counts.
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

    /// Decides what happens to a request, and counts it for the rules. A request that the gateway
    /// answers counts for no rule.
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
    /// The gateway's action, if the gateway answers the request. The first request starts the
    /// gateway's time.
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

    /// Whether a request matches, and the rule's time isn't over. The first request that matches
    /// starts that time.
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
        // The ending of an analysis is decided when it starts: a rule that sets only endings has no
        // effect on other requests, so it doesn't count them.
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
    fn an_outcome_applies_to_its_own_type_only() {
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
    fn a_rule_with_for_ms_ends_by_the_simulator_s_clock() {
        let mut director =
            director(vec![delayed(RequestMatch { for_ms: Some(100), ..RequestMatch::default() })]);
        let mut is_delayed = |now| {
            let plan = director.plan(Endpoint::Version, &Subject::default(), now);
            plan.action.delay_ms.is_some()
        };
        assert_eq!([5_000, 5_099, 5_100, 9_000].map(&mut is_delayed), [true, true, false, false]);
    }

    #[test]
    fn a_rule_matches_folders_that_have_all_of_its_metadata() {
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
    fn rules_keep_their_names_when_others_are_removed() {
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
    fn a_full_script_says_how_to_remove_rules() {
        let mut director = director(vec![Rule::default(); RULES_MAX]);
        let full = director.try_add(vec![Rule::default()]).expect_err("the script is full");
        let told = full.to_string();
        assert!(told.contains("1000") && told.contains("DELETE /sim/rules/NAME"), "{told}");
        assert_eq!(director.remove("7"), 1);
        assert!(director.try_add(vec![Rule::default()]).is_ok());
    }
}
