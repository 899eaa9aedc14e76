#!/bin/sh
# Roll a release out: k8s/roll-out.sh k8s/overlays/production
# Migrations first, one service after the other, while the pods of the release before go on: each migration is safe
# under both. The first that fails ends the roll-out, and nothing has changed for anybody.
set -eu
overlay="$1"
phase=homeroom.example/phase
name=app.kubernetes.io/name

kubectl apply --kustomize "$overlay" --selector "$phase!=migration,$phase!=app"
for service in auth school academic communication notification; do
    # A job cannot be changed, only made anew.
    kubectl --namespace homeroom delete job "$service-migrate" --ignore-not-found
    kubectl apply --kustomize "$overlay" --selector "$phase=migration,$name=$service"
    kubectl --namespace homeroom wait --for=condition=Complete --timeout=900s "job/$service-migrate"
done
kubectl apply --kustomize "$overlay" --selector "$phase=app"
for kind in api worker; do
    kubectl --namespace homeroom rollout status deployment --selector "app.kubernetes.io/component=$kind" --timeout=600s
done
