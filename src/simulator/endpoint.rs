//! Routes a method and a path to an endpoint, and reads the id in the path.
//!
//! Both spellings of every path, with and without a trailing slash, are the same endpoint.

use http::Method;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An endpoint of Oz, by its name in rules, in the record and in the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `POST /api/authorize/auth`
    Login,
    /// `POST /api/authorize/refresh`
    Refresh,
    /// `GET /api/authorize/session_token`
    SessionToken,
    /// `GET /api/version`
    Version,
    /// `POST /api/folders`
    CreateFolder,
    /// `GET /api/folders`
    ListFolders,
    /// `GET /api/folders/{id}`
    GetFolder,
    /// `DELETE /api/folders/{id}`
    DeleteFolder,
    /// Any method on `/api/folders/{id}/meta_data`
    FolderMetaData,
    /// `POST /api/folders/{id}/media`
    AddMedia,
    /// `GET /api/folders/{id}/media`
    ListMedia,
    /// `GET /api/media/{id}`
    GetMedia,
    /// `DELETE /api/media/{id}`
    DeleteMedia,
    /// Any method on `/api/media/{id}/meta_data`
    MediaMetaData,
    /// `POST /api/folders/{id}/analyses`
    StartAnalyses,
    /// `GET /api/folders/{id}/analyses`
    ListAnalyses,
    /// `GET /api/analyses/{id}`
    GetAnalysis,
    /// `DELETE /api/analyses/{id}`
    DeleteAnalysis,
    /// Any method on `/api/analyses/{id}/meta_data`
    AnalysisMetaData,
    /// `GET /api/analyses`, which Oz does not document
    AllAnalyses,
    /// `GET /static/{digest}`: the bytes behind an `original_url`
    Static,
    /// Anything else
    Unknown,
}

/// The endpoint and the id that a request's method and path name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// [`Endpoint::Unknown`] if no endpoint has this method and path.
    pub endpoint: Endpoint,
    /// Whether the path exists, but not with this method.
    pub method_refused: bool,
    /// The id in the path: of a folder, a medium or an analysis, by the endpoint.
    pub id: Option<Uuid>,
    /// The last segment of a `/static/` path.
    pub file: Option<String>,
}

impl Route {
    /// Routes a method and a path.
    pub fn read(method: &Method, path: &str) -> Route {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        match segments.as_slice() {
            ["static", file] => Route {
                file: Some((*file).to_owned()),
                ..Route::known(Endpoint::Static, method == Method::GET)
            },
            ["api", rest @ ..] => Route::of_api(method, rest),
            _ => Route::unknown(),
        }
    }

    fn of_api(method: &Method, segments: &[&str]) -> Route {
        use Endpoint as E;
        let id = segments.get(1).and_then(|id| Uuid::try_parse(id).ok());
        let choices: &[(Method, Endpoint)] = match segments {
            ["authorize", "auth"] => &[(Method::POST, E::Login)],
            ["authorize", "refresh"] => &[(Method::POST, E::Refresh)],
            ["authorize", "session_token"] => &[(Method::GET, E::SessionToken)],
            ["version"] => &[(Method::GET, E::Version)],
            ["folders"] => &[(Method::POST, E::CreateFolder), (Method::GET, E::ListFolders)],
            ["folders", _] => &[(Method::GET, E::GetFolder), (Method::DELETE, E::DeleteFolder)],
            ["folders", _, "media"] => &[(Method::POST, E::AddMedia), (Method::GET, E::ListMedia)],
            ["folders", _, "analyses"] => {
                &[(Method::POST, E::StartAnalyses), (Method::GET, E::ListAnalyses)]
            }
            ["media", _] => &[(Method::GET, E::GetMedia), (Method::DELETE, E::DeleteMedia)],
            ["analyses"] => &[(Method::GET, E::AllAnalyses)],
            ["analyses", _] => {
                &[(Method::GET, E::GetAnalysis), (Method::DELETE, E::DeleteAnalysis)]
            }
            [object, _, "meta_data"] => {
                return match meta_data_endpoint(object) {
                    Some(endpoint) => {
                        Route { id, ..Route::known(endpoint, is_meta_data_method(method)) }
                    }
                    None => Route::unknown(),
                };
            }
            _ => return Route::unknown(),
        };
        match choices.iter().find(|(allowed, _)| allowed == method) {
            Some((_, endpoint)) => Route { id, ..Route::known(*endpoint, true) },
            None => Route::known(E::Unknown, false),
        }
    }

    fn known(endpoint: Endpoint, allowed: bool) -> Route {
        Route { endpoint, method_refused: !allowed, id: None, file: None }
    }

    fn unknown() -> Route {
        Route::known(Endpoint::Unknown, true).allow()
    }

    fn allow(self) -> Route {
        Route { method_refused: false, ..self }
    }

    /// The folder that the path itself names.
    pub fn folder(&self) -> Option<Uuid> {
        use Endpoint::*;
        match self.endpoint {
            GetFolder | DeleteFolder | FolderMetaData | AddMedia | ListMedia | StartAnalyses
            | ListAnalyses => self.id,
            Login | Refresh | SessionToken | Version | CreateFolder | ListFolders | GetMedia
            | DeleteMedia | MediaMetaData | GetAnalysis | DeleteAnalysis | AnalysisMetaData
            | AllAnalyses | Static | Unknown => None,
        }
    }
}

fn meta_data_endpoint(object: &str) -> Option<Endpoint> {
    match object {
        "folders" => Some(Endpoint::FolderMetaData),
        "media" => Some(Endpoint::MediaMetaData),
        "analyses" => Some(Endpoint::AnalysisMetaData),
        _ => None,
    }
}

fn is_meta_data_method(method: &Method) -> bool {
    [Method::GET, Method::POST, Method::PATCH, Method::DELETE].contains(method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailing_slash_changes_nothing() {
        let bare = Route::read(&Method::POST, "/api/folders");
        assert_eq!(bare, Route::read(&Method::POST, "/api/folders/"));
        assert_eq!(bare.endpoint, Endpoint::CreateFolder);
    }

    #[test]
    fn a_known_path_refuses_other_methods() {
        assert!(Route::read(&Method::PUT, "/api/folders/").method_refused);
        assert!(!Route::read(&Method::PUT, "/api/nothing/").method_refused);
    }

    #[test]
    fn ids_come_from_the_path() {
        let id = Uuid::from_u128(7);
        let route = Route::read(&Method::GET, &format!("/api/folders/{id}/analyses/"));
        assert_eq!((route.endpoint, route.folder()), (Endpoint::ListAnalyses, Some(id)));
        assert_eq!(Route::read(&Method::GET, "/api/folders/..").folder(), None);
    }
}
