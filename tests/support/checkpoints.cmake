# The checkpoints that tests run on, made while building, by the tools themselves.
set(SLUICE_BUILT_CHECKPOINTS ${CMAKE_BINARY_DIR}/tests/checkpoints)
set(checkpoint_stamps)

# built_checkpoint(NAME SOURCE folder TOOL program ARGS...): SLUICE_BUILT_CHECKPOINTS/NAME, made again when the tool is.
function(built_checkpoint name)
  cmake_parse_arguments(arg "" "SOURCE;TOOL" "ARGS;DEPENDS" ${ARGN})
  set(target ${SLUICE_BUILT_CHECKPOINTS}/${name})
  add_custom_command(OUTPUT ${target}.stamp
    COMMAND ${CMAKE_COMMAND} -E rm -rf ${target}
    COMMAND ${arg_TOOL} --input ${arg_SOURCE} --output ${target} --log-level error ${arg_ARGS}
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
built_checkpoint(llama SOURCE ${models}/llama-tiny TOOL sluice-shard)
built_checkpoint(grok SOURCE ${models}/grok-tiny TOOL sluice-shard)
built_checkpoint(grok-bf16 SOURCE ${models}/grok-tiny TOOL sluice-cast)
built_checkpoint(grok-2host SOURCE ${models}/grok-tiny-2host TOOL sluice-shard)
built_checkpoint(grok-hf SOURCE ${models}/grok-tiny-hf TOOL sluice-shard)
built_checkpoint(grok-order12 SOURCE ${models}/grok-order12 TOOL sluice-shard)
built_checkpoint(grok-order12-bf16 SOURCE ${models}/grok-order12 TOOL sluice-cast)

# More heads than the small trained models have: eight slices.
set(wide_source ${SLUICE_BUILT_CHECKPOINTS}/wide-source)
add_custom_command(OUTPUT ${wide_source}.stamp
  COMMAND ${CMAKE_COMMAND} -E rm -rf ${wide_source}
  COMMAND make_checkpoint wide ${wide_source}
  COMMAND ${CMAKE_COMMAND} -E touch ${wide_source}.stamp
  DEPENDS make_checkpoint VERBATIM)
built_checkpoint(wide SOURCE ${wide_source} TOOL sluice-shard DEPENDS ${wide_source}.stamp)
built_checkpoint(wide-6-slices SOURCE ${wide_source} TOOL sluice-shard ARGS --slices 6 DEPENDS ${wide_source}.stamp)

# Families of which no trained model is small enough; the goldens of the first two rest on these weights.
function(synthetic_checkpoint name model)
  set(source ${SLUICE_BUILT_CHECKPOINTS}/${name}-source)
  add_custom_command(OUTPUT ${source}.stamp
    COMMAND ${CMAKE_COMMAND} -E rm -rf ${source}
    COMMAND sluice-synth --config ${models}/${model}/config.json --tokenizer ${models}/deepseek-v3-tiny --seed 1
            --output ${source} --log-level error ${ARGN}
    COMMAND ${CMAKE_COMMAND} -E touch ${source}.stamp
    DEPENDS sluice-synth ${models}/${model}/config.json VERBATIM)
  built_checkpoint(${name} SOURCE ${source} TOOL sluice-shard DEPENDS ${source}.stamp)
  set(checkpoint_stamps ${checkpoint_stamps} PARENT_SCOPE)
endfunction()
synthetic_checkpoint(mixtral mixtral-synthetic)
synthetic_checkpoint(mixtral-fp8 mixtral-synthetic --dtype fp8)
synthetic_checkpoint(llama-biased llama-biased)
synthetic_checkpoint(grok-wide grok-synthetic)

add_custom_target(test_checkpoints ALL DEPENDS ${checkpoint_stamps})
