//! The page over a real socket: turns, headers, who is shown it.
