mod checkouts;
mod cluster;
mod kustomize;
mod mirrors;
mod repository;
mod sources;
