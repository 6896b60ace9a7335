mod condition;
mod driver;
mod pods;
mod prometheus;
mod web;
