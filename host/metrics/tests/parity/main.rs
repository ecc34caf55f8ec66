//! Against the reference tools, on captions and scores that lie beside the workspace: equality and time.

mod reference;
mod scst;
mod speed;
mod text;
mod tokenizer;
