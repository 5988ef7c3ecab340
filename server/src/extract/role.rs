//! Roles as extractors: each stands for a caller who may do at least that.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use otter_fleet::Actor;
use otter_protocol::ProblemCode;
use otter_protocol::admin::{Me, Role};
use tower_sessions::Session;

use super::bearer::bearer;
use crate::failure::{Failure, Result};
use crate::server::Server;
use crate::sessions::USER_ID;

/// Who asks, as the API says it and as the audit log writes it.
struct Caller {
    me: Me,
    actor: Actor,
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

        impl FromRequestParts<Server> for $name {
            type Rejection = Failure;

            async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self> {
                let caller = caller(parts, server).await?;
                allow(&caller.me, Role::$name)?;
                Ok(Self { me: caller.me, actor: caller.actor })
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
        });
    }
    let id = match parts.extensions.get::<Session>() {
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
            name: person.name,
            role: person.role,
        },
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
