# How every target is built, and the layering: a library may link and include only the layers before it.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
include(GNUInstallDirs)
cmake_path(GET CMAKE_CURRENT_LIST_DIR PARENT_PATH SLUICE_ROOT)  # also where another project includes this file

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(HDF5 REQUIRED COMPONENTS C)
find_package(ZLIB REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(SENTENCEPIECE REQUIRED IMPORTED_TARGET sentencepiece)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)

add_library(sluice_flags INTERFACE)
target_compile_options(sluice_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion -Wno-sign-conversion>
  # g++ 12 sees overlapping copies in std::string that are not there (GCC bug 105651).
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-restrict>
  # Products and sums keep the order and the rounding that the source states, whatever the compiler.
  $<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>
  # nvcc's own code for the host would not pass the warnings above.
  "$<$<COMPILE_LANGUAGE:CUDA>:-fmad=false;-lineinfo;--expt-relaxed-constexpr;-Werror=all-warnings;-Xcompiler=-Wall,-Werror,-ffp-contract=off>")
if(SLUICE_SANITIZE)
  target_compile_options(sluice_flags INTERFACE
    "$<$<COMPILE_LANGUAGE:C,CXX>:-fsanitize=${SLUICE_SANITIZE};-fno-sanitize-recover=all;-fno-omit-frame-pointer>")
  target_link_options(sluice_flags INTERFACE -fsanitize=${SLUICE_SANITIZE})
endif()

# The layers each layer may use directly (DAG of the house; see src/README.md).
set(SLUICE_LAYERS_core "")
set(SLUICE_LAYERS_kernels core)
set(SLUICE_LAYERS_backend core kernels)
set(SLUICE_LAYERS_comm core)
set(SLUICE_LAYERS_model_spec core)
set(SLUICE_LAYERS_checkpoint core model_spec)
set(SLUICE_LAYERS_text core)
set(SLUICE_LAYERS_model core kernels backend comm model_spec checkpoint)
set(SLUICE_LAYERS_engine core kernels backend comm model_spec checkpoint model text)

# The folder an include starts with -> the layer it belongs to. model/ holds two layers.
function(sluice_layer_of_include path out)
  string(REGEX MATCH "^[a-z_]+" folder "${path}")
  set(layer ${folder})  # kernels/ stands at the top level
  if(path MATCHES "^model/(config|config_edit|config_keys|catalog|parameters|shard)\\.hpp$")
    set(layer model_spec)
  endif()
  set(${out} ${layer} PARENT_SCOPE)
endfunction()

# sluice_layer(NAME SOURCES files... [PRIVATE targets...] [PUBLIC targets...])
# A static library that links exactly the layers of SLUICE_LAYERS_NAME, and includes from no other.
function(sluice_layer name)
  cmake_parse_arguments(arg "" "" "SOURCES;PRIVATE;PUBLIC" ${ARGN})
  foreach(source IN LISTS arg_SOURCES)
    file(STRINGS ${source} includes REGEX "^#include \"")
    foreach(line IN LISTS includes)
      string(REGEX REPLACE "^#include \"([^\"]+)\".*" "\\1" path "${line}")
      sluice_layer_of_include(${path} layer)
      if(NOT layer STREQUAL name AND NOT layer IN_LIST SLUICE_LAYERS_${name})
        message(FATAL_ERROR "${source} is in layer '${name}' and includes \"${path}\" of layer '${layer}'. "
                            "Allowed: ${SLUICE_LAYERS_${name}}")
      endif()
    endforeach()
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
  endforeach()
  add_library(sluice_${name} STATIC ${arg_SOURCES})
  target_include_directories(sluice_${name} PUBLIC ${SLUICE_ROOT}/src ${SLUICE_ROOT})
  list(TRANSFORM SLUICE_LAYERS_${name} PREPEND sluice_ OUTPUT_VARIABLE layers)
  target_link_libraries(sluice_${name} PUBLIC ${layers} fmt::fmt ${arg_PUBLIC} PRIVATE sluice_flags ${arg_PRIVATE})
endfunction()

# sluice_program(NAME SOURCES files... LINKS layers-or-targets...): an executable in bin/.
function(sluice_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE sluice_flags ${arg_LINKS})
  # Installed, too, it finds libraries outside the system's folders (NCCL, say) where the build has found them.
  set_target_properties(${name} PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()
