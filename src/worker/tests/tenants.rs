//! Tenants: each has its own limits and its own retention, and a tenant that floods the server
//! takes nothing that another needs.

use super::*;

/// A match of a tenant that names a medium.
fn spec_of(name: &str) -> Spec {
    Spec { tenant: tenant(name), ..naming_a_medium() }
}

/// A match of a tenant whose photo is sent with the request, and which may be repeated.
fn sent_by(name: &str, request_id: &str) -> Spec {
    Spec { tenant: tenant(name), request_id: Some(request_id.parse().unwrap()), ..spec() }
}

fn roomy() -> Config {
    Config { unfinished_max: 8, ..CONFIG }
}

fn is_overload(refused: &Refused, limit: Limit) -> bool {
    matches!(refused, Refused::Overloaded(it) if *it == limit)
}

fn is_quota(refused: &Refused, limit: Limit) -> bool {
    matches!(refused, Refused::Quota(it) if *it == limit)
}

#[tokio::test]
async fn a_tenant_at_its_own_limit_of_matches_is_told_so_until_one_ends() {
    let house = Harness::with(roomy());
    house.names_two_tenants(TenantTerms { unfinished_max: Some(1), ..TenantTerms::default() });
    let first = house.admit(sent_by("small", "order-1")).await;
    let refused = house.worker.admit(spec_of("small"), None).await.unwrap_err();
    assert!(is_quota(&refused, Limit::UnfinishedMatches), "{refused}");
    let photo = house.photo(&tenant("small"));
    let repeat = house.worker.admit(sent_by("small", "order-1"), Some(photo)).await.unwrap();
    assert_eq!(repeat.id, first.id, "a repeat is never refused");
    house.admit(spec_of("other")).await;
    house.worker.cancel(&first.spec.tenant, &Key::Match(first.id)).await.unwrap();
    eventually("its slot is free", || async { house.worker.unfinished() == 1 }).await;
    house.admit(spec_of("small")).await;
}

#[tokio::test]
async fn a_tenant_that_floods_the_server_leaves_the_others_their_slots() {
    let house = Harness::with(roomy());
    house.names_two_tenants(TenantTerms::default());
    for _ in 0..6 {
        house.admit(spec_of("other")).await;
    }
    let refused = house.worker.admit(spec_of("other"), None).await.unwrap_err();
    assert!(is_overload(&refused, Limit::UnfinishedMatches), "{refused}");
    for _ in 0..2 {
        house.admit(spec_of("small")).await;
    }
    let refused = house.worker.admit(spec_of("small"), None).await.unwrap_err();
    assert!(is_overload(&refused, Limit::UnfinishedMatches), "{refused}");
}

#[tokio::test]
async fn claims_count_for_their_tenant_and_are_never_refused_for_its_limit() {
    let house = Harness::new();
    for name in ["other"; 12] {
        let id = MatchId::from_uuid(uuid::Uuid::now_v7());
        house.journal.admit(id, Arc::new(spec_of(name))).await.unwrap();
    }
    let next = house.next_process_with(roomy());
    let own = TenantTerms { unfinished_max: Some(3), ..TenantTerms::default() };
    let terms = [(tenant("small"), TenantTerms::default()), (tenant("other"), own)];
    *lock(&next.tenants) = Tenants::new(terms.into());
    next.worker.start().await.unwrap();
    assert_eq!(next.worker.unfinished(), 8, "as many as the server may hold");
    assert!(next.worker.supervisor.slots.has_backlog());
    let refused = next.worker.admit(spec_of("other"), None).await.unwrap_err();
    assert!(is_overload(&refused, Limit::UnfinishedMatches), "{refused}");
    next.admit(spec_of("small")).await;
}

#[tokio::test]
async fn a_tenant_at_its_own_limit_of_photos_may_still_repeat_a_known_match() {
    let house = Harness::with(roomy());
    house.names_two_tenants(TenantTerms { photo_bytes_max: Some(4), ..TenantTerms::default() });
    let first = house.admit(sent_by("small", "order-1")).await;
    let again = || Some(house.photo(&tenant("small")));
    let refused = house.worker.admit(sent_by("small", "order-2"), again()).await.unwrap_err();
    assert!(is_quota(&refused, Limit::PhotoMemory), "{refused}");
    let repeat = house.worker.admit(sent_by("small", "order-1"), again()).await.unwrap();
    assert_eq!(repeat.id, first.id);
    house.admit(sent_by("other", "order-2")).await;
}

#[tokio::test]
async fn a_tenant_that_floods_photo_memory_leaves_the_others_their_part() {
    let house = Harness::with(Config { unfinished_max: 100, ..CONFIG });
    house.names_two_tenants(TenantTerms::default());
    // 75 of 100 bytes, with 4 bytes a photo.
    for nth in 0..18 {
        house.admit(sent_by("other", &format!("order-{nth}"))).await;
    }
    let photo = Some(house.photo(&tenant("other")));
    let refused = house.worker.admit(sent_by("other", "one-more"), photo).await.unwrap_err();
    assert!(is_overload(&refused, Limit::PhotoMemory), "{refused}");
    for nth in 0..6 {
        house.admit(sent_by("small", &format!("order-{nth}"))).await;
    }
}

#[tokio::test]
async fn each_tenant_has_its_own_retention_and_a_change_holds_for_matches_that_end_later() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let house = Harness::with(roomy());
    let cancelled = async |name: &str| {
        let m = house.admit(spec_of(name)).await;
        house.worker.cancel(&m.spec.tenant, &Key::Match(m.id)).await.unwrap();
        let m = house.find(&m).await.unwrap();
        m.expire_time.unwrap().since(m.end_time.unwrap())
    };
    let keeps = |retention| {
        house.names_two_tenants(TenantTerms { retention, ..TenantTerms::default() });
    };
    for (own, kept) in [
        (Some(HOUR), HOUR),
        (Some(2 * HOUR), 2 * HOUR),
        (Some(CONFIG.policy.retention * 2), CONFIG.policy.retention),
        (None, CONFIG.policy.retention),
    ] {
        keeps(own);
        assert_eq!(cancelled("small").await, kept);
        assert_eq!(cancelled("other").await, CONFIG.policy.retention);
    }
}

#[tokio::test]
async fn a_match_that_ends_by_itself_is_kept_for_its_tenants_retention() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let mut house = Harness::with(roomy());
    house.names_two_tenants(TenantTerms { retention: Some(HOUR), ..TenantTerms::default() });
    let m = house.admit(spec_of("small")).await;
    let gone = Failure::new(FailureKind::Forbidden, "no rights");
    house.next(AskKind::ReadFolder).await.answer.send(Err(gone)).unwrap();
    eventually("the match has failed", || async { house.find(&m).await.unwrap().has_ended() })
        .await;
    let m = house.find(&m).await.unwrap();
    assert_eq!(m.expire_time, Some(m.end_time.unwrap().after(HOUR)));
}
