//! Roles as extractors: each stands for a caller who may do at least that, with the whole fleet.
//!
//! A key may reach a part of the fleet only. Such a key is refused wherever a handler asks for a role alone; a handler that
//! asks for [`Scoped`] lets it in, and gets that part of the fleet instead of all of it.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use otter_fleet::{Actor, Fleet, Person, Reach};
use otter_protocol::admin::{Me, Role, Scope};
use otter_protocol::{ProblemCode, Timestamp};
use tower_sessions::Session;

use super::bearer::bearer;
use crate::failure::{Failure, Result};
use crate::server::Server;
use crate::sessions::{AUTHENTICATED_AT, RECENT_SEC, USER_ID};

/// Who asks, as the API says it and as the audit log writes it.
struct Caller {
    me: Me,
    actor: Actor,
    /// Who it is, where it is no program.
    person: Option<Person>,
    /// What of the fleet is in reach; for a person, everything.
    scope: Scope,
}

/// A role, as an extractor.
pub(crate) trait Acting: Sized {
    /// The least role that a caller needs.
    const NEEDED: Role;

    /// Makes it of a caller who has that.
    fn of(me: Me, actor: Actor) -> Self;
}

macro_rules! role {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub(crate) struct $name {
            /// Who it is.
            #[allow(dead_code, reason = "not every role's handlers tell callers who they are")]
            pub(crate) me: Me,
            /// Whom the audit log names.
            #[allow(dead_code, reason = "who only looks is in no audit log")]
            pub(crate) actor: Actor,
        }

        impl Acting for $name {
            const NEEDED: Role = Role::$name;

            fn of(me: Me, actor: Actor) -> Self {
                Self { me, actor }
            }
        }

        impl FromRequestParts<Server> for $name {
            type Rejection = Failure;

            async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self> {
                let caller = caller(parts, server).await?;
                allow(&caller.me, Self::NEEDED)?;
                check_reaches_everything(&caller)?;
                Ok(Self::of(caller.me, caller.actor))
            }
        }
    };
}

role!(
    /// A caller who may look.
    Viewer
);
role!(
    /// A caller who may upload, roll out, pause and hold.
    Operator
);
role!(
    /// A caller who may let rollouts of others begin.
    Approver
);
role!(
    /// A caller who may manage keys, enrollment and trust.
    Admin
);

/// A caller with a role, and the part of the fleet that he reaches; keys of a limited scope are let in here and nowhere else.
pub(crate) struct Scoped<R>(pub(crate) R, pub(crate) Reach);

impl<R: Acting> FromRequestParts<Server> for Scoped<R> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self> {
        let caller = caller(parts, server).await?;
        allow(&caller.me, R::NEEDED)?;
        let reach = server.fleet().within(caller.scope);
        Ok(Self(R::of(caller.me, caller.actor), reach))
    }
}

/// A person who asks for himself: for what programs have none of, a password and sessions.
pub(crate) struct Myself {
    /// Who it is.
    pub(crate) person: Person,
    /// Whom the audit log names.
    pub(crate) actor: Actor,
    /// The session that he asks by.
    pub(crate) session: String,
}

impl FromRequestParts<Server> for Myself {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self> {
        let caller = caller(parts, server).await?;
        let session = session(parts).and_then(Session::id);
        match (caller.person, session) {
            (Some(person), Some(session)) => Ok(Self {
                person,
                actor: caller.actor,
                session: session.to_string(),
            }),
            _ => {
                let detail = "An API key has no password and no sessions: this is for people who are logged in.";
                Err(Failure::new(ProblemCode::Forbidden, detail))
            }
        }
    }
}

/// A caller with a role who, where it is a person, showed a moment ago that it is he: for keys, people and trust.
pub(crate) struct Recent<R>(pub(crate) R);

impl<R> FromRequestParts<Server> for Recent<R>
where
    R: FromRequestParts<Server, Rejection = Failure> + Send,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self> {
        let caller = R::from_request_parts(parts, server).await?;
        // A key has nobody who could show anything.
        if bearer(&parts.headers)?.is_some() || is_recent(parts, server).await? {
            return Ok(Self(caller));
        }
        let detail = "You logged in a while ago, and this needs to be sure that it is you. Nothing was changed. Confirm it on \
                      the dashboard's page /confirm, then try again.";
        Err(Failure::new(ProblemCode::ReauthenticationNeeded, detail))
    }
}

async fn is_recent(parts: &Parts, server: &Server) -> Result<bool> {
    let Some(session) = session(parts) else {
        return Ok(false);
    };
    let at = session.get::<i64>(AUTHENTICATED_AT).await;
    let at = at.map_err(unreadable)?.map(Timestamp);
    Ok(at.is_some_and(|at| server.fleet().now().sec_since(at) < RECENT_SEC))
}

fn session(parts: &Parts) -> Option<&Session> {
    parts.extensions.get::<Session>()
}

/// What a caller showed, to look at again while a stream to him is open.
pub(crate) enum Standing {
    /// A key's secret.
    Key(String),
    /// A person's number and session.
    Session(i64, String),
}

impl Standing {
    /// Tells whether it still counts; looking is no use of the session. Where it can't be told now, it does.
    pub(crate) async fn counts(&self, fleet: &Fleet) -> bool {
        match self {
            Self::Key(secret) => match fleet.api_caller(secret).await {
                Ok(_) => true,
                Err(error) => error.to_problem().code != ProblemCode::Unauthenticated,
            },
            Self::Session(person, session) => {
                let open = fleet.sessions_of(*person, Some(session)).await;
                let is_in = fleet.person(*person).await;
                open.map_or(true, |open| open.iter().any(|one| one.current))
                    && is_in.map_or(true, |person| person.is_some())
            }
        }
    }
}

impl FromRequestParts<Server> for Standing {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self> {
        if let Some(secret) = bearer(&parts.headers)? {
            return Ok(Self::Key(secret.to_owned()));
        }
        let myself = Myself::from_request_parts(parts, server).await?;
        Ok(Self::Session(myself.person.id, myself.session))
    }
}

/// Finds out who asks: by a key, or else by the session of a person who is logged in.
async fn caller(parts: &Parts, server: &Server) -> Result<Caller> {
    if let Some(secret) = bearer(&parts.headers)? {
        let key = server.fleet().api_caller(secret).await?;
        return Ok(Caller {
            actor: Actor::Key(key.name.clone()),
            me: Me {
                name: key.name,
                role: key.role,
            },
            person: None,
            scope: key.scope,
        });
    }
    let id = match session(parts) {
        Some(session) => session.get::<i64>(USER_ID).await.map_err(unreadable)?,
        None => None,
    };
    let person = match id {
        Some(id) => server.fleet().person(id).await?,
        None => None,
    };
    let person = person.ok_or_else(|| {
        let detail = "Show an API key (Authorization: Bearer otk_…) or log in.";
        Failure::new(ProblemCode::Unauthenticated, detail)
    })?;
    Ok(Caller {
        actor: Actor::User(person.name.clone()),
        me: Me {
            name: person.name.clone(),
            role: person.role,
        },
        person: Some(person),
        scope: Scope::default(),
    })
}

/// A session that can't be read now is no session that has ended: the person is not logged out for it.
fn unreadable(error: tower_sessions::session::Error) -> Failure {
    tracing::error!("a session can't be read: {error}");
    Failure::new(
        ProblemCode::Unavailable,
        "Your session can't be read now; try again in a moment.",
    )
}

fn check_reaches_everything(caller: &Caller) -> Result<()> {
    if caller.scope.is_everything() {
        return Ok(());
    }
    let detail = format!(
        "The key {} reaches {} only, and this concerns the whole fleet. It takes a key without a scope.",
        caller.me.name, caller.scope
    );
    Err(Failure::new(ProblemCode::Forbidden, detail))
}

fn allow(me: &Me, needed: Role) -> Result<()> {
    if me.role >= needed {
        return Ok(());
    }
    let detail = format!(
        "This needs the role {}; {} is {}.",
        needed.as_str(),
        me.name,
        me.role.as_str()
    );
    Err(Failure::new(ProblemCode::Forbidden, detail))
}
