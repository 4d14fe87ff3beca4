# Installs the libraries, their public headers, a CMake package and the files for pkg-config.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/cairn)
set(headers FILES_MATCHING PATTERN "*.hpp")
if(NOT TARGET cairn_store)
  list(APPEND headers PATTERN store.hpp EXCLUDE)
endif()
if(NOT TARGET cairn_maintenance)
  list(APPEND headers PATTERN maintenance.hpp EXCLUDE)
endif()
# One export set for each library: a project then needs only the packages of the components that it requests.
foreach(library model persistence log store maintenance actors runtime testkit)
  if(TARGET cairn_${library})
    install(TARGETS cairn_${library} EXPORT cairn-${library} COMPONENT development)
    install(EXPORT cairn-${library} NAMESPACE cairn:: DESTINATION ${package_dir} COMPONENT development)
  endif()
endforeach()
install(DIRECTORY model/include/ persistence/include/ actors/include/ runtime/include/ testkit/include/
                  ${CMAKE_CURRENT_BINARY_DIR}/model/include/
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development ${headers})

# Before 1.0 each minor version may break what the one before it had.
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(compatibility SameMinorVersion)
else()
  set(compatibility SameMajorVersion)
endif()
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/cairnConfigVersion.cmake COMPATIBILITY ${compatibility})
configure_file(cmake/cairnConfig.cmake.in cairnConfig.cmake @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/cairnConfig.cmake cmake/FindCAF.cmake cmake/FindMsgpack.cmake cmake/FindXXHash.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/cairnConfigVersion.cmake
        DESTINATION ${package_dir} COMPONENT development)

# The paths in these files are relative to the files, so the installation can be moved.
set(pkg_config_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH pkg_config_to_prefix /prefix/${pkg_config_dir} /prefix)
string(REGEX REPLACE "/$" "" pkg_config_to_prefix ${pkg_config_to_prefix})
foreach(name cairn cairn-store cairn-maintenance cairn-testkit)
  string(REPLACE - _ library ${name})
  if(name STREQUAL cairn OR TARGET ${library})
    configure_file(cmake/${name}.pc.in ${name}.pc @ONLY)
    install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc
            DESTINATION ${pkg_config_dir} COMPONENT development)
  endif()
endforeach()
