mod cluster;
mod kustomize;
mod repository;
mod sources;
