//! Login, refresh, and session tokens.

use serde_json::{Value, json};

use crate::simulator::answer::{OzReply, Refusal};
use crate::simulator::api::ApiCall;
use crate::simulator::lock;
use crate::simulator::script::LoginCode;
use crate::simulator::session::User;
use crate::simulator::world::WorldState;

/// `POST /api/authorize/auth/`
pub fn login(call: &ApiCall) -> Result<OzReply, Refusal> {
    let body = call.json()?;
    let credentials = &body["credentials"];
    let email = text(credentials, "email").ok_or(Refusal::missing("credentials/email"))?;
    let password = text(credentials, "password").ok_or(Refusal::missing("credentials/password"))?;
    let account = &call.world.account;
    if call.on.login_refused || (email, password) != (&*account.email, &*account.password) {
        let code = match call.on.login_code {
            LoginCode::Older => 7,
            LoginCode::Newer => 15,
        };
        return Err(Refusal::login(code));
    }
    let mut state = lock(&call.world.state);
    let WorldState { sessions, random, .. } = &mut *state;
    Ok(OzReply::Json(200, sessions.start(User::Ordinary, random, call.now(), &call.on)))
}

/// `POST /api/authorize/refresh/`
pub fn refresh(call: &ApiCall) -> Result<OzReply, Refusal> {
    let access = call.token().ok_or_else(Refusal::auth_missing)?;
    let body = call.json()?;
    let expire_token = text(&body, "expire_token").ok_or(Refusal::missing("expire_token"))?;
    let mut state = lock(&call.world.state);
    let WorldState { sessions, random, .. } = &mut *state;
    let pair = sessions.refresh(access, expire_token, random, call.now(), &call.on)?;
    Ok(OzReply::Json(200, pair))
}

/// `GET /api/authorize/session_token`
pub fn session_token(call: &ApiCall) -> Result<OzReply, Refusal> {
    let mut state = call.authorised()?;
    Ok(OzReply::Json(200, json!({ "session_token": state.random.token() })))
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}
