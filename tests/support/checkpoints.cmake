# The checkpoints that tests run on, made while building, by the tools themselves.
set(SLUICE_BUILT_CHECKPOINTS ${CMAKE_BINARY_DIR}/tests/checkpoints)
set(checkpoint_stamps)

# built_checkpoint(NAME SOURCE folder TOOL program ARGS...): SLUICE_BUILT_CHECKPOINTS/NAME, made again when the tool is.
function(built_checkpoint name)
  cmake_parse_arguments(arg "" "SOURCE;TOOL" "ARGS;DEPENDS" ${ARGN})
  set(target ${SLUICE_BUILT_CHECKPOINTS}/${name})
  add_custom_command(OUTPUT ${target}.stamp
    COMMAND ${CMAKE_COMMAND} -E rm -rf ${target}
    COMMAND ${arg_TOOL} --input ${arg_SOURCE} --output ${target} --log-level warning ${arg_ARGS}
    COMMAND ${CMAKE_COMMAND} -E touch ${target}.stamp
    DEPENDS ${arg_TOOL} ${arg_DEPENDS} VERBATIM)
  set(checkpoint_stamps ${checkpoint_stamps} ${target}.stamp PARENT_SCOPE)
endfunction()

file(MAKE_DIRECTORY ${SLUICE_BUILT_CHECKPOINTS})
set(models ${PROJECT_SOURCE_DIR}/tests/data/models)
built_checkpoint(v3 SOURCE ${models}/deepseek-v3-tiny TOOL sluice-shard)
built_checkpoint(v3-1-slice SOURCE ${models}/deepseek-v3-tiny TOOL sluice-shard ARGS --slices 1)
built_checkpoint(v3-bf16 SOURCE ${models}/deepseek-v3-tiny TOOL sluice-cast)
built_checkpoint(v2 SOURCE ${models}/deepseek-v2-tiny TOOL sluice-shard)

# More heads than the small trained models have: eight slices.
set(wide_source ${SLUICE_BUILT_CHECKPOINTS}/wide-source)
add_custom_command(OUTPUT ${wide_source}.stamp
  COMMAND ${CMAKE_COMMAND} -E rm -rf ${wide_source}
  COMMAND make_checkpoint wide ${wide_source}
  COMMAND ${CMAKE_COMMAND} -E touch ${wide_source}.stamp
  DEPENDS make_checkpoint VERBATIM)
built_checkpoint(wide SOURCE ${wide_source} TOOL sluice-shard DEPENDS ${wide_source}.stamp)
built_checkpoint(wide-6-slices SOURCE ${wide_source} TOOL sluice-shard ARGS --slices 6 DEPENDS ${wide_source}.stamp)

add_custom_target(test_checkpoints ALL DEPENDS ${checkpoint_stamps})
