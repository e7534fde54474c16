%shebang%
# Finds the program's runfiles and runs it under the interpreter of its toolchain.
main='%main%'
runfiles=${RUNFILES_DIR:-${RUNFILES_MANIFEST_FILE%?MANIFEST}}
if [ ! -e "$runfiles/$main" ]; then
    case $0 in
        /*) self=$0 ;;
        *) self=$PWD/$0 ;;
    esac
    while :; do
        if [ -d "$self.runfiles" ]; then
            runfiles=$self.runfiles
            break
        fi
        case $self in
            *.runfiles/*)
                runfiles=${self%.runfiles/*}.runfiles
                break
                ;;
        esac
        if [ ! -L "$self" ]; then
            echo "$0: the folder $0.runfiles, which Bazel makes beside it, is missing" >&2
            exit 1
        fi
        target=$(readlink "$self")
        case $target in
            /*) self=$target ;;
            *) self=${self%/*}/$target ;;
        esac
    done
fi

path=$runfiles
imports='%imports%'
IFS=:
for entry in $imports; do
    path=$path:$runfiles/$entry
done
unset IFS
path=$path:$runfiles/%workspace_name%

interpreter='%python_binary%'
case $interpreter in
    /*) ;;
    */*) interpreter=$runfiles/$interpreter ;;
esac
export RUNFILES_DIR="$runfiles" PYTHONSAFEPATH=1 PYTHONPATH="$path${PYTHONPATH:+:$PYTHONPATH}"
exec "$interpreter" "$runfiles/$main" "$@"
