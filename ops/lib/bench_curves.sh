# Cost curves of ops/bench: one scenario at several points, the results as one JSON array and one picture.
# Sourced by ops/bench after bench.sh.
# shellcheck shell=bash

readonly -a all_curves=(load connections partitions workers size waiting)
readonly -a curve_partitions=(1 2 4 8 16 64 256) curve_sizes=(16 64 200 1000 4000 16000 60000)
readonly -a curve_load_percent=(5 10 25 50 75 90) curve_connections=(1000 2000 5000 10000 19000 38000 57000)
curve_waiting=(1000 10000 100000)

# Adds x to the result of one point and takes it into the curve.
curve_point() { # curve, x, scenario, options…
  local curve=$1 x=$2
  shift 2
  measure "curve-$curve-$x" "$@"
  if [ -r "$last" ]; then
    jq --argjson x "$x" '. + {x: $x}' "$last" >>"$bench_dir/curve-$curve.points"
    rm -f "$last"
  fi
}

run_curve() { # name
  local curve=$1 x
  rm -f "$bench_dir/curve-$curve.points"
  case $curve in
    load)
      curve_point load 100 throughput
      local full
      full=$(jq --slurp '.[0].delivered_per_s' "$bench_dir/curve-load.points")
      for x in "${curve_load_percent[@]}"; do
        curve_point load "$x" latency-load --rate "$(jq --null-input "$full * $x / 100 | floor")"
      done
      ;;
    connections)
      local kind
      for kind in ${transport:-tcp websocket tls}; do
        for x in "${curve_connections[@]}"; do clients=$x curve_point connections "$x" idle --transport "$kind"; done
      done
      ;;
    partitions) for x in "${curve_partitions[@]}"; do partitions=$x curve_point partitions "$x" throughput; done ;;
    workers) for x in 1 2 3; do partitions=8 workers=$x curve_point workers "$x" throughput; done ;;
    size) for x in "${curve_sizes[@]}"; do curve_point size "$x" throughput --bytes "$x"; done ;;
    waiting) for x in "${curve_waiting[@]}"; do clients=$x curve_point waiting "$x" park; done ;;
  esac
  [ -s "$bench_dir/curve-$curve.points" ] || die "no point of the curve $curve could be measured"
  jq --slurp 'sort_by(.x)' "$bench_dir/curve-$curve.points" >"$bench_dir/curve-$curve.json"
  rm -f "$bench_dir/curve-$curve.points"
  last=$bench_dir/curve-$curve.json
  "draw_$curve"
  say "$bench_dir/curve-$curve.json and .svg"
}

# --- pictures ---------------------------------------------------------------------------------------------------

columns() { # file, jq's list of columns
  jq --raw-output ".[] | $2 | @tsv" "$1"
}

plot() { # name of the picture, gnuplot commands
  {
    say "set terminal svg size 760,420 background 'white' font 'sans,12'"
    say "set output '$bench_dir/$1.svg'"
    say "set grid; set key outside below; set border 3; set tics nomirror"
    say "$2"
  } | gnuplot || die "gnuplot could not draw $1.svg"
}

# Delivered a second at the left axis, latencies or CPU at the right one.
draw_load() {
  local table=$bench_dir/curve-load.tsv
  columns "$last" '[.delivered_per_s, .server_cpu_us_per_message, .p50_ms, .p99_ms]' | sort --numeric-sort >"$table"
  plot curve-load "set xlabel 'delivered a second'; set ylabel 'server CPU, µs a message'; set yrange [0:*]
set y2label 'ms'; set logscale y2; set y2tics
plot '$table' using 1:2 with linespoints lw 2 title 'CPU a message', \
  '$table' using 1:3 axes x1y2 with linespoints title 'p50', '$table' using 1:4 axes x1y2 with linespoints title 'p99'"
  rm -f "$table"
}

draw_connections() {
  local kind lines=""
  for kind in tcp websocket tls; do
    columns "$last" "select(.transport == \"$kind\") | [.x, .edge_bytes_per_connection]" >"$bench_dir/$kind.tsv"
    if [ -s "$bench_dir/$kind.tsv" ]; then
      lines+="${lines:+, }'$bench_dir/$kind.tsv' using 1:2 with linespoints lw 2 title '$kind'"
    fi
  done
  plot curve-connections "set xlabel 'idle connections'; set ylabel 'bytes in the edge, each'; set logscale y
plot $lines"
  rm -f "$bench_dir"/{tcp,websocket,tls}.tsv
}

draw_logarithmic() { # curve, label of x
  local table=$bench_dir/curve-$1.tsv
  columns "$last" '[.x, (.delivered_per_s // .accepted_per_s), .server_cpu_us_per_message]' >"$table"
  plot "curve-$1" "set xlabel '$2'; set logscale x; set ylabel 'messages a second'; set yrange [0:*]
set y2label 'server CPU, µs a message'; set y2tics; set y2range [0:*]
plot '$table' using 1:2 with linespoints lw 2 title 'messages a second', \
  '$table' using 1:3 axes x1y2 with linespoints lw 2 title 'CPU a message'"
  rm -f "$table"
}
draw_partitions() { draw_logarithmic partitions partitions; }
draw_workers() { draw_logarithmic workers 'workers (8 partitions)'; }
draw_size() { draw_logarithmic size 'bytes of content'; }
draw_waiting() { draw_logarithmic waiting 'users with waiting mail'; }
