#!/bin/sh
# What goes into the image of one app: pick-app.sh APP SOURCE TARGET copies shared, the app's folder, and how to start it.
set -eu
app="$1" source="$2" target="$3"

case "$app" in
    gateway) folder=gateway module=gateway ;;
    *) folder="services/$app" module="services.$app" ;;
esac
if [ -z "$app" ] || [ ! -f "$source/$folder/__main__.py" ]; then
    echo "APP must name a service or the gateway, not '$app'." >&2
    exit 2
fi

mkdir -p "$target/$folder"
cp -R "$source/shared" "$target/"
cp -R "$source/$folder/." "$target/$folder/"
rm -rf "$target/shared/testing"
find "$target" -depth -type d \( -name tests -o -name __pycache__ \) -exec rm -rf {} \;
printf '#!/bin/sh\nexec python -m %s "$@"\n' "$module" >"$target/start"
chmod -R a+rX,go-w "$target"
chmod 755 "$target/start"
