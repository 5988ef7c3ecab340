//! Icons: strokes on a grid of 24, in the text's colour.

use leptos::prelude::*;

/// What an icon shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Audit,
    Check,
    Copy,
    Device,
    LogOut,
    Monitor,
    Moon,
    Overview,
    Plus,
    Release,
    Rollout,
    Search,
    Settings,
    Sun,
}

impl Shape {
    /// Returns the icon's paths.
    fn paths(self) -> &'static [&'static str] {
        match self {
            Self::Audit => &["M8 6h13M8 12h13M8 18h13M3 6h.01M3 12h.01M3 18h.01"],
            Self::Check => &["M20 6 9 17l-5-5"],
            Self::Copy => &[
                "M9 9h10a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H9a1 1 0 0 1-1-1V10a1 1 0 0 1 1-1Z",
                "M5 15H4a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1h10a1 1 0 0 1 1 1v1",
            ],
            Self::Device => &[
                "M6 6h12v12H6Z",
                "M9 2v4M15 2v4M9 18v4M15 18v4M2 9h4M2 15h4M18 9h4M18 15h4",
            ],
            Self::LogOut => &[
                "M9 21H5a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2h4",
                "m16 17 5-5-5-5M21 12H9",
            ],
            Self::Monitor => &["M3 4h18v12H3Z", "M8 21h8M12 16v5"],
            Self::Moon => &["M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5Z"],
            Self::Overview => &["M3 3h8v10H3ZM13 3h8v6h-8ZM13 11h8v10h-8ZM3 15h8v6H3Z"],
            Self::Plus => &["M12 5v14M5 12h14"],
            Self::Release => &[
                "m12 3 8 4.5v9L12 21l-8-4.5v-9Z",
                "m4 7.5 8 4.5 8-4.5M12 12v9",
            ],
            Self::Rollout => &["M3 17h4v4H3ZM10 11h4v10h-4ZM17 4h4v17h-4Z"],
            Self::Search => &["M11 4a7 7 0 1 1 0 14 7 7 0 0 1 0-14Z", "m16.5 16.5 4.5 4.5"],
            Self::Settings => &[
                "M4 7h10M18 7h2M4 17h2M10 17h10",
                "M16 5a2 2 0 1 1 0 4 2 2 0 0 1 0-4ZM8 15a2 2 0 1 1 0 4 2 2 0 0 1 0-4Z",
            ],
            Self::Sun => &[
                "M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8Z",
                "M12 2v2M12 20v2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M2 12h2M20 12h2M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4",
            ],
        }
    }
}

/// An icon beside a text that says the same, so that it is none to a screen reader.
#[component]
pub(crate) fn Icon(shape: Shape) -> impl IntoView {
    let paths = shape
        .paths()
        .iter()
        .map(|path| view! { <path d=*path /> })
        .collect_view();
    view! {
        <svg
            viewBox="0 0 24 24"
            width="18"
            height="18"
            fill="none"
            stroke="currentColor"
            stroke-width="1.8"
            stroke-linecap="round"
            stroke-linejoin="round"
            aria-hidden="true"
        >
            {paths}
        </svg>
    }
}
