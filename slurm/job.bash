# What the job scripts share: the log, starting the program, stopping it in time and going on after that.
# shellcheck shell=bash

SLUICE_BIN=${SLUICE_BIN:-$SLUICE_HOME/build/release/bin}

# In an array, SLURM_JOB_ID of one task is also the name of the whole array.
job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
job=${job:-$SLURM_JOB_ID}

say() { printf '%(%F %T)T job %s: %s\n' -1 "$job" "$*"; }

# log_to FILE: the script's output and the program's log go there from now on.
log_to() {
    log=$1
    mkdir -p "$(dirname "$log")"
    say "the log is $log"
    exec >>"$log" 2>&1
}

say_start() {
    say "start $((${SLURM_RESTART_COUNT:-0} + 1)), nodes $SLURM_JOB_NODELIST, ranks $SLURM_NTASKS:$(printf ' %q' "$@")"
}

# run_alone PROGRAM ARGUMENTS...: one process; the script ends with its exit code.
run_alone() {
    local code=0
    say_start "$@"
    "$SLUICE_BIN/$1" "${@:2}" || code=$?
    say "ended with exit code $code"
    exit "$code"
}

# run_ranks PROGRAM ARGUMENTS...: on all ranks of the job; the script ends with its exit code. If it was stopped with
# work left, exit code 75, the job goes back into the queue.
run_ranks() {
    local code=0 launch
    export_end_time
    set_launch
    rm -f "$log.ended"
    say_start "$@"
    "${launch[@]}" "$SLUICE_BIN/$1" "${@:2}" &
    local launcher=$!

    # Slurm warns this script alone: srun and mpirun pass USR1 on to the ranks, which stop after their current step.
    trap 'say "the time is nearly up: stopping"; kill -USR1 "$launcher"' USR1
    # When Slurm ends the job (scancel, preemption, a lost node), it tells everybody, and decides what comes then.
    local ended_by_slurm=
    trap 'say "ended by Slurm: stopping"; ended_by_slurm=yes' TERM

    # A signal interrupts wait. At the end it tells the exit code again.
    while kill -0 "$launcher" 2>/dev/null; do wait "$launcher" || true; done
    wait "$launcher" || code=$?
    if ((code == 0)) && ! ended_well; then code=1; fi
    say "ended with exit code $code"
    if ((code == 75)) && [[ -z $ended_by_slurm ]] && ! stop_file_is_there "$@"; then requeue; fi
    if ((code == 1 || code > 128)) && [[ -z $ended_by_slurm ]] && ! nodes_answer; then
        say "a node of the job does not answer"
        requeue
    fi
    exit "$code"
}

# The ranks know of a lost node within seconds, and end; Slurm, which would start the job again, only minutes later.
nodes_answer() {
    ((SLURM_JOB_NUM_NODES == 1)) ||
        timeout 30 srun --overlap --mpi=none --nodes="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 true >/dev/null 2>&1
}

# The program stops by itself in time. New versions of Slurm set this variable themselves.
export_end_time() {
    local end
    end=$(SLURM_TIME_FORMAT=%s squeue --noheader --jobs="$job" --format=%e) || true
    if [[ $end =~ ^[0-9]+$ ]]; then export SLURM_JOB_END_TIME=$end; fi
}

# Sets `launch`: how to start a program on all ranks.
set_launch() {
    local ranks=$((SLURM_NTASKS / SLURM_JOB_NUM_NODES)) # on each node
    case ${LAUNCHER:-srun} in
    srun)
        # The other kinds of fences let ranks pass before all are there (seen in Slurm 22.05): then a message from one
        # that has left MPI_Init crashes another that is still in it.
        export SLURM_PMIX_FENCE=${SLURM_PMIX_FENCE:-ring}
        # Each rank gets its share of the node's cores, and starts a thread on each. Signals that come before the
        # program can take them must not end it.
        # shellcheck disable=SC2016  # the ranks expand it
        local rank='trap "" TERM USR1; "$@" || exit; if ((SLURM_PROCID == 0)); then touch "$0.ended"; fi'
        launch=(srun "--mpi=${SRUN_MPI:-pmix}" --kill-on-bad-exit=1 --cpu-bind=cores
            "--cpus-per-task=${SLURM_CPUS_PER_TASK:-$((SLURM_CPUS_ON_NODE / ranks))}" bash -c "$rank" "$log")
        ;;
    mpirun)
        # mpirun would bind each rank to one core; unbound, the ranks of a node divide its cores among themselves.
        launch=(mpirun -n "$SLURM_NTASKS" --map-by "ppr:$ranks:node" --bind-to none --quiet)
        ;;
    *)
        say "LAUNCHER is $LAUNCHER; it must be srun or mpirun"
        exit 2
        ;;
    esac
}

# srun may end with 0 although it could not start the ranks: rank 0 has to confirm it.
ended_well() {
    if [[ ${LAUNCHER:-srun} == mpirun ]] || rm "$log.ended"; then return; fi
    say "srun ended with exit code 0, but the program did not"
    return 1
}

# stop_file_is_there ARGUMENTS...: whether somebody wants the run stopped (--stop-file). The job would stop again.
stop_file_is_there() {
    local argument file='' before=''
    for argument in "$@"; do
        if [[ $before == --stop-file ]]; then file=$argument; fi
        if [[ $argument == --stop-file=* ]]; then file=${argument#*=}; fi
        before=$argument
    done
    if [[ -z $file || ! -e $file ]]; then return 1; fi
    say "not requeued, because $file is there: remove it and submit anew to go on"
}

# Puts the job back into the queue: the same script with the same settings, later.
requeue() {
    if ((${SLURM_RESTART_COUNT:-0} >= ${MAX_REQUEUES:-100})); then
        say "not requeued again after ${MAX_REQUEUES:-100} times: submit it anew to go on"
    elif scontrol requeue "$job"; then
        say "requeued to go on"
    else
        say "could not be requeued: submit it anew to go on"
    fi
}
