//! Where the server is reached, for cookies and for links that are handed on.

/// The server's address, in the context of every page and server function.
#[derive(Debug, Clone)]
pub struct Site {
    base: String,
}

impl Site {
    /// Takes the server's public address.
    pub fn new(public_url: &str) -> Self {
        Self {
            base: public_url.trim_end_matches('/').to_owned(),
        }
    }

    /// Tells whether browsers reach it over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.base.starts_with("https://")
    }

    /// Returns the address of the page where the owner of a one-time link chooses a password.
    pub fn welcome(&self, secret: &str) -> String {
        format!(
            "{}/welcome?secret={}",
            self.base,
            crate::next::encode(secret)
        )
    }

    /// Returns a cookie's full name: over TLS with the prefix that lets no other site and no plain connection set it.
    pub fn cookie_name(&self, name: &str) -> String {
        if self.is_secure() {
            format!("__Host-{name}")
        } else {
            name.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_have_the_prefix_where_there_is_tls() {
        let over_tls = Site::new("https://otter.example/");
        assert_eq!(over_tls.cookie_name("a"), "__Host-a");
        assert_eq!(
            over_tls.welcome("otl_x"),
            "https://otter.example/welcome?secret=otl_x"
        );
        assert_eq!(Site::new("http://127.0.0.1:8080").cookie_name("a"), "a");
    }
}
