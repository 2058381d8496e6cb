#!/bin/sh
# Starts the gateway that lies beside this script, as Jigasi's jigasi.sh did: same arguments, same variables.
#   JIGASI_MAX_MEMORY   such as 3072m or 2g: the garbage collector works harder near it
#   JAVA_SYS_PROPS      its -Dkey=value pairs stand in for properties that no file has; other Java options are ignored
set -eu
here=$(dirname "$(readlink -f "$0")")
case ${JIGASI_MAX_MEMORY:-} in
'') ;;
*[kK]) GOMEMLIMIT=${JIGASI_MAX_MEMORY%?}KiB ;;
*[mM]) GOMEMLIMIT=${JIGASI_MAX_MEMORY%?}MiB ;;
*[gG]) GOMEMLIMIT=${JIGASI_MAX_MEMORY%?}GiB ;;
*) GOMEMLIMIT=$JIGASI_MAX_MEMORY ;;
esac
if [ -n "${GOMEMLIMIT:-}" ]; then export GOMEMLIMIT; fi
exec "$here/jigasi" "$@"
