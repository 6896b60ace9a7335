mod automated;
mod failures;
mod operation;
mod waves;
mod world;
