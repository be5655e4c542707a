// Draws a GLB with three.js as a web page would: `page.py` drives this one page, which stays open.
// render(url, poses, fovyDeg, sizePx) answers with one PNG per pose and with what three.js made of the file.

import * as THREE from "three";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";

const renderer = new THREE.WebGLRenderer({ alpha: true, antialias: true, preserveDrawingBuffer: true });
renderer.setPixelRatio(1);
renderer.setClearColor(0x000000, 0);
const loader = new GLTFLoader();

// One light from everywhere and one that goes with the camera: an environment map takes SwiftShader seconds.
const scene = new THREE.Scene();
const key = new THREE.DirectionalLight(0xffffff, 2.2);
scene.add(new THREE.HemisphereLight(0xffffff, 0x777777, 1.6), key, key.target);

window.render = async (url, poses, fovyDeg, sizePx) => {
  const root = (await loader.loadAsync(url)).scene;
  scene.add(root);
  try {
    renderer.setSize(sizePx, sizePx);
    const box = new THREE.Box3().setFromObject(root);
    const reach = box.getSize(new THREE.Vector3()).length();
    const pictures = poses.map((pose) => draw(pose, fovyDeg, box, reach));
    return { pictures, ...contents(root), dimensions_m: box.getSize(new THREE.Vector3()).toArray() };
  } finally {
    scene.remove(root);
    release(root);
  }
};

function draw(pose, fovyDeg, box, reach) {
  const matrix = new THREE.Matrix4().set(...pose.flat()); // rows, as numpy writes them
  const position = new THREE.Vector3().setFromMatrixPosition(matrix);
  const distance = position.distanceTo(box.getCenter(new THREE.Vector3()));
  const camera = new THREE.PerspectiveCamera(fovyDeg, 1, Math.max(distance - reach, distance / 1000), distance + reach);
  matrix.decompose(camera.position, camera.quaternion, camera.scale);
  key.position.copy(new THREE.Vector3(-0.45, 0.75, 0.6).applyQuaternion(camera.quaternion));
  renderer.render(scene, camera);
  return renderer.domElement.toDataURL("image/png").split(",")[1];
}

function contents(root) {
  let triangles = 0;
  const images = {};
  root.traverse((object) => {
    if (!object.isMesh) return;
    triangles += (object.geometry.index ?? object.geometry.attributes.position).count / 3;
    for (const slot of ["map", "normalMap", "aoMap", "roughnessMap", "metalnessMap"]) {
      const image = object.material[slot]?.image;
      if (image) images[slot] = [image.width, image.height];
    }
  });
  return { triangles, images };
}

function release(root) {
  root.traverse((object) => {
    if (!object.isMesh) return;
    object.geometry.dispose();
    for (const value of Object.values(object.material)) if (value?.isTexture) value.dispose();
    object.material.dispose();
  });
}
