#!/bin/sh
# Roll a release out: k8s/roll-out.sh k8s/overlays/production
# Migrations first, one service after the other, while the pods of the release before go on: each migration is safe
# under both. The first that fails ends the roll-out, before any pod has changed. Then the pods, one deployment after the
# other: what stops keeps its connections to Postgres for a while beside what replaces it, and there is room for one.
set -eu
overlay="$1"
phase=homeroom.example/phase
name=app.kubernetes.io/name
component=app.kubernetes.io/component
services="auth school academic communication notification"

in_house() {
    kubectl --namespace homeroom "$@"
}

# Whichever comes first: a job that failed is not waited for. 15 minutes at the most.
wait_for_job() {
    tries=90
    until in_house wait --for=condition=Complete --timeout=10s "$1" 2>/dev/null; do
        tries=$((tries - 1))
        if [ "$tries" = 0 ] || in_house wait --for=condition=Failed --timeout=1s "$1" 2>/dev/null; then
            in_house logs --tail=20 "$1" || true
            echo "$1 did not complete; the release before goes on." >&2
            return 1
        fi
    done
}

# Changes with any setting or secret: pods read both once, when they start.
version_of_settings() {
    version='{.metadata.resourceVersion} '
    configs=$(in_house get configmap --selector homeroom.example/overlay --output "jsonpath={range .items[*]}$version{end}")
    secret=$(in_house get secret homeroom --output "jsonpath=$version")
    echo "$configs$secret" | sha256sum | cut -c -16
}

# One deployment and what belongs to it, until its pods run. Restarts what runs with other settings, also those of a
# roll-out that ended early.
roll_out() {
    selector="$phase=app,$name=$1,$component=$2"
    kubectl apply --kustomize "$overlay" --selector "$selector"
    for deployment in $(in_house get deployment --selector "$selector" --output name); do
        in_house patch "$deployment" --patch \
            "{\"spec\": {\"template\": {\"metadata\": {\"annotations\": {\"homeroom.example/settings\": \"$settings\"}}}}}"
        in_house rollout status "$deployment" --timeout=900s
    done
}

kubectl apply --kustomize "$overlay" --selector "$phase!=migration,$phase!=app"
for service in $services; do
    # A job cannot be changed, only made anew.
    in_house delete job "$service-migrate" --ignore-not-found
    kubectl apply --kustomize "$overlay" --selector "$phase=migration,$name=$service"
    wait_for_job "job/$service-migrate"
done
settings=$(version_of_settings)
for service in $services; do
    roll_out "$service" api
    roll_out "$service" worker
done
roll_out gateway api
