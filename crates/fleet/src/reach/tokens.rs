//! The enrollment tokens in reach: those that let in no device out of it.

use otter_protocol::admin::{EnrollmentToken, NewEnrollmentToken, WithSecret};

use super::Reach;
use crate::actor::Actor;
use crate::error::{Error, Result};

impl Reach {
    /// Makes a token; `forbidden` where it would let in devices out of reach.
    pub async fn create_enrollment_token(
        &self,
        actor: &Actor,
        new: &NewEnrollmentToken,
    ) -> Result<WithSecret<EnrollmentToken>> {
        if !self.has_token(new) {
            let what = "this token would let others in, too: name its models and its group";
            return Err(self.beyond(what));
        }
        self.fleet.create_enrollment_token(actor, new).await
    }

    /// Lists the tokens in reach, the newest first.
    pub async fn enrollment_tokens(&self) -> Result<Vec<EnrollmentToken>> {
        let mut tokens = self.fleet.enrollment_tokens().await?;
        tokens.retain(|token| self.has_token(&token.spec));
        Ok(tokens)
    }

    /// Takes a token in reach back.
    pub async fn revoke_enrollment_token(&self, actor: &Actor, id: i64) -> Result<()> {
        let tokens = self.enrollment_tokens().await?;
        if !tokens.iter().any(|token| token.id == id) {
            return Err(Error::not_found(format!("enrollment token {id}")));
        }
        self.fleet.revoke_enrollment_token(actor, id).await
    }

    fn has_token(&self, token: &NewEnrollmentToken) -> bool {
        self.scope.has_models(&token.models) && self.scope.has_group(token.group.as_ref())
    }
}
