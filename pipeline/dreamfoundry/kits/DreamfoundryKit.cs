// Prefabs with levels of detail and colliders out of collected assets, for Unity 2022.3 or newer: DreamfoundryKit.cs
//
// NOT RUN by those who wrote it: only its syntax was checked. It is written to the documented interfaces of
// UnityEditor (AssetPostprocessor, PrefabUtility), UnityEngine (LODGroup, MeshCollider) and needs a package that imports
// GLB: com.unity.cloud.gltfast or org.khronos.unitygltf.
//
//     dreamfoundry collect LIBRARY FOLDER --engine unity        (FOLDER below Assets)
//
// A project holds one copy of this file: collect everything into one FOLDER, or delete the copies of further ones, since
// a class that stands twice does not compile. NAME.prefab is made anew each time: make changes in a variant of it.
//
// Whenever an asset.json is imported, the prefab NAME.prefab beside it is made: an LODGroup with all levels and the
// switching sizes of asset.json, and a child with one convex MeshCollider for each hull. "Tools, Dreamfoundry, Make
// prefabs again" does it for the whole project, which helps where the GLBs came in later than their asset.json.

using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using UnityEditor;
using UnityEngine;

namespace Dreamfoundry
{
    public sealed class DreamfoundryKit : AssetPostprocessor
    {
        private const string Sidecar = "asset.json";

        // Share of the screen's height below which nothing is drawn any more.
        private const float CulledBelow = 0.005f;

        private static void OnPostprocessAllAssets(
            string[] imported, string[] deleted, string[] moved, string[] movedFrom)
        {
            foreach (string path in imported.Where(path => Path.GetFileName(path) == Sidecar))
            {
                // later, when the GLBs of the same batch are there
                EditorApplication.delayCall += () => MakePrefab(path);
            }
        }

        [MenuItem("Tools/Dreamfoundry/Make prefabs again")]
        private static void MakeAll()
        {
            string[] paths = AssetDatabase.FindAssets("asset t:TextAsset")
                .Select(AssetDatabase.GUIDToAssetPath)
                .Where(path => Path.GetFileName(path) == Sidecar)
                .ToArray();
            int made = paths.Count(MakePrefab);
            Debug.Log($"dreamfoundry: {made} of {paths.Length} prefabs made");
        }

        private static bool MakePrefab(string sidecar)
        {
            string text = File.ReadAllText(sidecar);
            if (!text.Contains("\"dreamfoundry.asset.v"))
            {
                return false; // somebody else's asset.json
            }

            string folder = Path.GetDirectoryName(sidecar)?.Replace('\\', '/');
            string name = Path.GetFileName(folder);
            SortedDictionary<int, Level> levels = LevelsOf(text);
            if (levels.Count == 0)
            {
                Debug.LogError($"{sidecar}: names no level");
                return false;
            }

            GameObject root = new GameObject(name);
            try
            {
                AddLevels(root, folder, levels.Values.ToList());
                AddColliders(root, $"{folder}/{name}_collision.glb");
                PrefabUtility.SaveAsPrefabAsset(root, $"{folder}/{name}.prefab", out bool saved);
                return saved;
            }
            catch (FileNotFoundException missing)
            {
                Debug.LogWarning($"{missing.Message}: not imported yet; use Tools, Dreamfoundry, Make prefabs again");
                return false;
            }
            finally
            {
                Object.DestroyImmediate(root);
            }
        }

        private static void AddLevels(GameObject root, string folder, IReadOnlyList<Level> levels)
        {
            var renderers = new List<Renderer[]>();
            foreach (Level level in levels)
            {
                GameObject child = Place(root, $"{folder}/{level.File}");
                renderers.Add(child.GetComponentsInChildren<Renderer>());
            }

            // sizes of asset.json are of the diagonal, those of an LODGroup of the longest side
            Bounds bounds = renderers[0][0].bounds;
            Vector3 size = bounds.size;
            float ofSide = Mathf.Max(size.x, size.y, size.z) / size.magnitude;
            var lods = new LOD[levels.Count];
            float height = 1f;
            for (int number = 0; number < levels.Count; number++)
            {
                bool isLast = number + 1 == levels.Count;
                float next = isLast ? CulledBelow : levels[number + 1].ScreenSize * ofSide;
                height = Mathf.Min(next > 0f ? next : height / 2f, height * 0.99f);
                lods[number] = new LOD(height, renderers[number]);
            }

            LODGroup group = root.AddComponent<LODGroup>();
            group.SetLODs(lods);
            group.RecalculateBounds();
        }

        private static void AddColliders(GameObject root, string path)
        {
            if (!File.Exists(path))
            {
                return;
            }

            GameObject hulls = Place(root, path);
            foreach (MeshFilter hull in hulls.GetComponentsInChildren<MeshFilter>())
            {
                MeshCollider collider = hull.gameObject.AddComponent<MeshCollider>();
                collider.sharedMesh = hull.sharedMesh;
                collider.convex = true;
            }

            foreach (Renderer renderer in hulls.GetComponentsInChildren<Renderer>())
            {
                renderer.enabled = false;
            }
        }

        private static GameObject Place(GameObject root, string path)
        {
            GameObject model = AssetDatabase.LoadAssetAtPath<GameObject>(path);
            if (model == null)
            {
                throw new FileNotFoundException(path);
            }

            GameObject child = (GameObject)PrefabUtility.InstantiatePrefab(model, root.transform);
            child.name = Path.GetFileNameWithoutExtension(path);
            return child;
        }

        // JsonUtility reads no dictionaries: each file of "files" is found as a name before an object without braces.
        private static SortedDictionary<int, Level> LevelsOf(string text)
        {
            var levels = new SortedDictionary<int, Level>();
            const string file = "\"(?<name>[^\"]+\\.glb)\": (?<entry>\\{(?:[^{}]|\\{[^{}]*\\})*\\})";
            foreach (Match match in Regex.Matches(text, file))
            {
                Entry entry = JsonUtility.FromJson<Entry>(match.Groups["entry"].Value);
                if (entry.role == "level")
                {
                    levels[entry.level] = new Level(match.Groups["name"].Value, entry.screen_size);
                }
            }

            return levels;
        }

        [System.Serializable]
        private sealed class Entry
        {
            public string role;
            public int level;
            public float screen_size;
        }

        private sealed class Level
        {
            public Level(string file, float screenSize)
            {
                File = file;
                ScreenSize = screenSize;
            }

            public string File { get; }

            public float ScreenSize { get; }
        }
    }
}
