//! The journal's `Reader` of the engine in memory.

use std::collections::BTreeSet;

use async_trait::async_trait;
use tokio::task::yield_now;

use crate::{
    domain::{Cursor, Match, MatchId, Position, Recorded, TenantId},
    journal::{
        CursorStatus, Error, EventPage, Filter, Key, Listing, Origin, Reader, Start,
        memory::Memory, stored,
    },
};

#[async_trait]
impl Reader for Memory {
    async fn find(&self, tenant: &TenantId, key: &Key) -> Result<Option<Match>, Error> {
        self.count();
        let found = self.lock().find(tenant, key);
        yield_now().await;
        Ok(found)
    }

    async fn events(&self, match_id: MatchId) -> Result<Vec<Recorded>, Error> {
        self.count();
        let events = self.lock().matches.get(&match_id).map(|row| row.events.clone());
        yield_now().await;
        Ok(events.unwrap_or_default())
    }

    fn recent(&self, match_id: MatchId) -> Option<Vec<Recorded>> {
        let reached = self.here().reached;
        let mut events = self.lock().matches.get(&match_id)?.events.clone();
        events.retain(|recorded| recorded.position <= reached);
        Some(events).filter(|events| !events.is_empty())
    }

    async fn tail(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, Error> {
        self.count();
        let reached = self.here().reached;
        let later = self.lock().between(after, reached).take(limit).cloned().collect();
        yield_now().await;
        Ok(later)
    }

    async fn page(&self, after: Position, limit: usize) -> Result<EventPage, Error> {
        self.count();
        let reached = self.here().reached;
        let page = {
            let store = self.lock();
            let page: Vec<Recorded> = store.between(after, reached).take(limit).cloned().collect();
            let ids: BTreeSet<MatchId> = page.iter().map(|recorded| recorded.match_id).collect();
            let all = ids.iter().flat_map(|id| &store.matches[id].events);
            let earlier = all.filter(|recorded| recorded.position <= after).cloned();
            let events = stored::in_order(earlier.chain(page).collect());
            EventPage { events, floor: Some(store.floor) }
        };
        yield_now().await;
        Ok(page)
    }

    async fn list(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        before: Option<MatchId>,
        limit: usize,
    ) -> Result<Listing, Error> {
        self.count();
        let fits = |m: &Match| before.is_none_or(|before| m.id < before) && filter.selects(m);
        let store = self.lock();
        let matches: Vec<Match> = store.of(tenant).rev().filter(fits).take(limit).collect();
        let last = matches.last().filter(|_| matches.len() == limit);
        Ok(Listing { reached: last.map(|m| m.id), rows: matches.len(), matches })
    }

    async fn cursor(&self, start: Start) -> Result<Cursor, Error> {
        self.count();
        let store = self.lock();
        let position = match start {
            Start::Head => store.head,
            Start::Earliest => store.earliest(),
            Start::Floor => store.floor,
        };
        let incarnation = store.author(position).unwrap_or(self.identity.origin.incarnation);
        Ok(Cursor { position, incarnation })
    }

    async fn cursor_status(
        &self,
        origin: Origin,
        position: Position,
    ) -> Result<CursorStatus, Error> {
        self.count();
        Ok(self.lock().standing(origin, position))
    }

    async fn ping(&self) -> Result<(), Error> {
        self.lease().map(drop)
    }
}
